// Codes and values in plain words. Nothing here touches the page.
import { percent, round } from './dom.js';

/** From this liveness score on a face passes for a live one; the caller decides what follows. */
export const LIVE = 0.5;

/** The contract's error words: what happened, and what to tell the person in front of the camera. */
export const WORDS = {
  FACE_NOT_FOUND: ['No face was found', 'We cannot see your face. Look straight into the camera, in good light.'],
  TOO_MANY_FACES: ['More than one face', 'Please make sure that only you are in the picture.'],
  FACE_TOO_SMALL: ['The face is too small', 'Please move closer to the camera.'],
  FACE_CROPPED: ['The face is cut off', 'Please keep your whole face inside the picture.'],
  FACE_TOO_CLOSE: ['The face is too close to the camera', 'Please move a little further away from the camera.'],
  FACE_CLOSE_TO_BORDER: ['The face is too close to the border', 'Please bring your face to the centre of the picture.'],
  FACE_ANGLE_TOO_LARGE: ['The head is turned away', 'Please turn your face to the camera and hold it at eye level.'],
  FACE_IS_OCCLUDED: [
    'Something covers the face',
    'Please take off masks, dark glasses and scarves, and keep your hands away from your face.',
  ],
};

/** Answers that are not about the picture's face, by HTTP status: title, what to tell the person. */
export const STATUSES = {
  400: ['The service did not understand the request', ''],
  401: ['The service did not accept the sign-in', ''],
  404: ['There is no face service at this address', ''],
  405: ['There is no face service at this address', ''],
  413: [
    'The picture is too large',
    'This picture is too large. Please choose a smaller one, or take one with a lower resolution.',
  ],
  415: ['The service did not accept this type of request', ''],
  422: ['The picture cannot be read', 'This file does not open as a picture. Please choose a JPEG or PNG.'],
  429: ['Too many requests', 'Please wait a moment and try again.'],
  500: ['The service failed on this picture', 'Something went wrong on our side.'],
  503: ['The service is busy', 'Please wait a moment and try again.'],
};

/** What is better told by the code than by the status. */
export const FAULTS = {
  image_malformed: [
    'The picture is damaged or incomplete',
    'This file is damaged or did not arrive whole. Please send it again, or choose another one.',
  ],
  image_too_many_pixels: STATUSES[413],
  image_side_too_long: STATUSES[413],
  image_too_costly: STATUSES[413],
  not_ready: ['The service is still starting', STATUSES[503][1]],
};

/** Each rule in plain words: its name, the measured value, the limit. */
const RULES = {
  min_faces: ['A face is in the picture', (v) => `${v} ${v === 1 ? 'face' : 'faces'} found`, (t) => `at least ${t}`],
  max_second_face: [
    'Nobody else is in the picture',
    (v) => `Second face has ${percent(v)} of the main face’s height`,
    (t) => `less than ${percent(t)}`,
  ],
  min_interpupillary_distance: [
    'The eyes are far enough apart',
    (v) => `${round(v)} px between the pupils`,
    (t) => `at least ${round(t)} px`,
  ],
  min_face_side: ['The face is large enough', (v) => `Shorter side ${round(v)} px`, (t) => `at least ${round(t)} px`],
  min_face_area: [
    'The face fills enough of the picture',
    (v) => `${percent(v, 1)} of the picture`,
    (t) => `at least ${percent(t, 1)}`,
  ],
  max_outside: [
    'The whole face is in the picture',
    (v) => (v > 0 ? `${round(v)} px are outside` : 'Nothing is outside'),
    (t) => `at most ${round(t)} px`,
  ],
  min_surrounding: [
    'There is room around the face',
    (v) => `Picture is ${round(v, 1)} times the face`,
    (t) => `at least ${round(t, 2)} times`,
  ],
  min_opposite_margins: [
    'The face does not fill the picture',
    (v) => `${round(v)} px on the roomier side`,
    (t) => `at least ${round(t)} px`,
  ],
  min_margin: [
    'The face keeps off the border',
    (v) => (v < 0 ? `${round(-v)} px beyond the border` : `${round(v)} px to the nearest border`),
    (t) => `at least ${round(t)} px`,
  ],
  max_yaw: ['The head is not turned sideways', (v) => `Turned by ${round(v)}°`, (t) => `at most ${round(t)}°`],
  max_pitch: ['The head is not tilted up or down', (v) => `Tilted by ${round(v)}°`, (t) => `at most ${round(t)}°`],
  min_contrast: [
    'Light and shade are seen in the face',
    (v) => `${round(v)} levels of 255`,
    (t) => `at least ${round(t)}`,
  ],
  min_colour: [
    'There is enough colour',
    (v) => `Colours differ by ${round(v, 1)} levels`,
    (t) => `at least ${round(t, 1)}`,
  ],
  max_occlusion: [
    'Nothing covers the face',
    (v) => `${percent(v)} sure that something covers it`,
    (t) => `less than ${percent(t)}`,
  ],
};

/** A rule's name, measured value (null when it was not measured) and limit. */
export function ruleWords({ rule, measured, threshold, unit }) {
  const [name, value, limit] = RULES[rule] ?? [
    rule.replaceAll('_', ' '),
    (v) => `${round(v, 2)} ${unit}`,
    (t) => `${rule.startsWith('min') ? 'at least' : 'at most'} ${round(t, 2)} ${unit}`,
  ];
  return { name, value: measured === undefined ? null : value(measured), limit: limit(threshold) };
}

/** -10000 (certainly male) to 10000 (certainly female) in words. */
export function genderWords(gender) {
  // Never quite certain.
  const sure = Math.min(99, Math.round((10_000 + Math.abs(gender)) / 200));
  if (sure < 60) return { word: 'Undecided', certainty: 'neither is likelier by much' };
  return { word: gender < 0 ? 'Male' : 'Female', certainty: `${sure} % certain` };
}

/** Whether the picture has too little colour, by which liveness is judged: the service warns, unless the rule is off. */
export const isColourless = ({ warnings, liveness }) =>
  liveness?.reliability === 0 || warnings.some(({ code }) => code === 'picture_without_colour');

/** What the liveness score means, and how far it can be trusted. */
export function livenessWords(details) {
  const { score, reliability, surrounding, head } = details.liveness;
  if (isColourless(details)) {
    return 'Not reliable: liveness is judged by colour, and this picture has too little: it is black-and-white, or too dark. Send it as the camera took it, in good light.';
  }
  const size = `: the picture is ${round(surrounding, 1)} times the face`;
  const by = head ? ` Judged by your own head “${head.name}”.` : '';
  return `${reliabilityWords(reliability, size)} ${scoreWords(score)}${by}`;
}

function scoreWords(score) {
  if (score === undefined) return '';
  const meaning =
    score >= 0.5
      ? 'Above 0.5 the picture looks more like a person than like a print or a screen'
      : 'Below 0.5 it looks more like a print or a screen than like a person; a few real people score so low too';
  return `${meaning}. The number orders pictures: it is no probability of fraud, and one camera scores higher than another.`;
}

// With colour the service says 0.88 for a face that nearly fills its picture, 1 from 1.8 times the face on.
function reliabilityWords(reliability, size) {
  if (reliability >= 0.95) return `High reliability for one picture${size}. Some prints and masks pass all the same.`;
  if (reliability >= 0.9) return `Medium reliability${size}. More room around the face makes it firmer.`;
  return `Low reliability${size}, where fakes pass easily. Step back: the check needs to see what is around the face.`;
}

/** An angle with its direction. */
export const angle = (degrees, positive, negative) => {
  const whole = Math.round(Math.abs(degrees));
  return whole === 0 ? '0°' : `${whole}° ${degrees > 0 ? positive : negative}`;
};
