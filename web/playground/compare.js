// Two pictures side by side, and the answer as a file.
import { $, make, percent, round } from './dom.js';
import { WORDS, angle, genderWords, isColourless } from './words.js';

/** A thumbnail's longer side in pixels. */
const THUMBNAIL = 240;

/** The picture that was kept, and the one that was answered last; each with what is shown of it. */
let kept = null;
let latest = null;

/** The rows of the table: a name, and the value in an answer (nothing when it was not measured). */
const ROWS = [
  ['Answer', ({ face, error }) => (face ? 'Usable' : WORDS[error][0])],
  ['Word', ({ error }) => error ?? 'OK'],
  ['Liveness', livenessOf],
  ['Age', ({ face, details }) => number(face?.age ?? details.age, 0, 'years')],
  ['Gender', ({ face, details }) => genderOf(face?.gender, details.femaleProbability)],
  [
    'Something covers the face',
    ({ details }) => (details.occlusionProbability === undefined ? undefined : percent(details.occlusionProbability)),
  ],
  ['Between the pupils', ({ details }) => number(details.interpupillaryDistance, 0, 'px')],
  ['Turn', ({ details }) => details.pose && angle(details.pose.yaw, 'to their left', 'to their right')],
  ['Tilt', ({ details }) => details.pose && angle(details.pose.pitch, 'up', 'down')],
  ['Room around the face', ({ details }) => number(details.liveness?.surrounding, 1, 'times its size')],
  ['Reliability of liveness', ({ details }) => details.liveness && percent(details.liveness.reliability)],
  ['Rules not met', ({ details }) => broken(details, 'reject')],
  ['Warnings', ({ details }) => broken(details, 'warn')],
];

const number = (value, digits, unit = '') =>
  value === undefined ? undefined : `${round(value, digits)} ${unit}`.trim();

function livenessOf({ face, details }) {
  const score = face?.passiveLivenessScore ?? details.liveness?.score;
  return score !== undefined && isColourless(details) ? 'Not judged: too little colour' : score?.toFixed(2);
}

/** How many rules with this action the picture breaks. */
const broken = ({ rules }, action) =>
  String(rules.filter((rule) => rule.verdict === 'fail' && rule.action === action).length);

/** Of a rejected face the gender is among the details, as a probability. */
function genderOf(gender, female) {
  if (gender === undefined && female === undefined) return undefined;
  return Object.values(genderWords(gender ?? 10_000 * (2 * female - 1))).join(', ');
}

/** Rows of what comes in any number: each network's opinion, each component of quality. */
function more({ details }) {
  const networks = (details.liveness?.models ?? []).map(({ model, live }) => [`Live, says ${model}`, percent(live)]);
  const quality = Object.entries(details.quality ?? {}).map(([name, { value }]) => [
    `Quality: ${name.replaceAll('_', ' ')}`,
    String(value),
  ]);
  return [...networks, ...quality];
}

/** The picture as it is shown, small; nothing where the browser cannot show it. */
function thumbnail() {
  const image = $('image');
  if (image.hidden || !image.naturalWidth) return null;
  const scale = THUMBNAIL / Math.max(image.naturalWidth, image.naturalHeight);
  const canvas = make('canvas');
  canvas.width = Math.max(1, Math.round(image.naturalWidth * scale));
  canvas.height = Math.max(1, Math.round(image.naturalHeight * scale));
  canvas.getContext('2d').drawImage(image, 0, 0, canvas.width, canvas.height);
  canvas.setAttribute('role', 'img');
  return canvas;
}

const judged = (picture) => picture?.answer?.envelope?.details && picture.answer.status === 200;

/** Takes note of an answer: it can be kept or saved, and stands beside the one that was kept. */
export function compareAnswer(picture) {
  latest = picture?.answer?.envelope ? picture : null;
  $('keep-row').hidden = !latest;
  $('keep').hidden = !judged(picture);
  const both = kept && judged(picture) && picture !== kept.picture;
  $('compare-card').hidden = !both;
  $('kept-note').textContent = kept && !both ? keptWords() : '';
  if (both) draw(picture);
}

const keptWords = () => `Kept ${nameOf(kept.picture)}. Check another picture to see both side by side.`;

function nameOf(picture) {
  return picture.name ?? (picture.inline ? 'data URI' : picture.link) ?? 'picture';
}

function column(title, picture, small) {
  const head = make('th', '', make('span', 'compare-title', title), make('span', 'compare-name', nameOf(picture)));
  head.scope = 'col';
  if (small) {
    small.setAttribute('aria-label', `${title}: ${nameOf(picture)}`);
    head.prepend(small);
  }
  return head;
}

/** A text that may break after each underscore. */
const pieces = (text) => text.split(/(?<=_)/).flatMap((piece) => [piece, make('wbr')]);

function draw(picture) {
  const [first, second] = [kept.picture, picture].map((each) => each.answer.envelope);
  const rows = ROWS.map(([name, value]) => [name, value(first), value(second)]);
  const [others, own] = [new Map(more(first)), new Map(more(second))];
  for (const name of new Set([...others.keys(), ...own.keys()])) rows.push([name, others.get(name), own.get(name)]);
  $('compare-head').replaceChildren(
    make('td', ''),
    column('Kept', kept.picture, kept.small),
    column('This picture', picture, thumbnail()),
  );
  $('compare-body').replaceChildren(
    ...rows
      .filter(([, a, b]) => a || b)
      .map(([name, a, b]) => {
        const head = make('th', '', name);
        head.scope = 'row';
        return make(
          'tr',
          a === b ? '' : 'differs',
          head,
          ...[a, b].map((text) => make('td', '', ...pieces(text || '–'))),
        );
      }),
  );
}

$('keep').addEventListener('click', () => {
  kept = { picture: latest, small: thumbnail() };
  $('compare-card').hidden = true;
  $('kept-note').textContent = keptWords();
});

$('compare-end').addEventListener('click', () => {
  kept = null;
  $('compare-card').hidden = true;
  $('kept-note').textContent = '';
  $('keep').focus();
});

$('save').addEventListener('click', () => {
  const { envelope } = latest.answer;
  const link = make('a');
  link.href = URL.createObjectURL(new Blob([JSON.stringify(envelope, null, 2)], { type: 'application/json' }));
  link.download = `facegate-${envelope.sessionId ?? 'answer'}.json`;
  link.click();
  URL.revokeObjectURL(link.href);
});
