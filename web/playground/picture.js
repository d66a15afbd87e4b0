// The picture on the bench, and what the service found drawn over it.
import { $, show } from './dom.js';
import { brackets, dashed, fit, prepare } from './drawing.js';

/** What is drawn, by the buttons above the picture. */
const layers = { box: true, keypoints: true, landmarks: true, zoom: false };

/** The picture that is shown; main.js says what belongs to one. */
let picture = null;

/** Shows a picture from now on. */
export function present(next) {
  if (picture?.url) URL.revokeObjectURL(picture.url);
  picture = next;
  const image = $('image');
  image.onload = () => {
    if (picture !== next) return;
    picture.size = [image.naturalWidth, image.naturalHeight];
    layout();
  };
  image.onerror = () => {
    if (picture !== next) return;
    image.hidden = true;
    layout();
  };
  image.removeAttribute('src');
  // The page may not load anything from elsewhere: only the service sees what is behind a link.
  image.hidden = !next.blob && !next.inline;
  if (next.blob) image.src = next.url = URL.createObjectURL(next.blob);
  if (next.inline) image.src = next.link;
  image.alt = next.blob ? `The picture that was checked: ${next.name}` : 'The picture that was checked';
  layout();
}

/** Fits and draws everything anew. */
export function layout() {
  const details = picture?.answer?.envelope?.details;
  $('layers').hidden = $('shown').hidden || !details?.faces.length;
  if (!picture || $('shown').hidden) return;
  const seen = Boolean(picture.size);
  const size = details ? [details.image.width, details.image.height] : picture.size;
  $('frame').hidden = !size;
  $('frame').classList.toggle('blank', !seen);
  const name = picture.blob ? 'this file' : 'the picture behind the link';
  show(
    $('unseen'),
    seen || (!$('image').hidden && !picture.answer)
      ? ''
      : size
        ? `The browser does not show ${name}: only what the service returned is drawn.`
        : `The browser does not show ${name}.${picture.answer ? '' : ' The service looks at it all the same.'}`,
  );
  if (!size) return;
  const view = viewOf(size, details?.faces[0]);
  fit($('frame'), view.width, view.height);
  const { style } = $('image');
  style.width = `${(100 * size[0]) / view.width}%`;
  style.height = `${(100 * size[1]) / view.height}%`;
  style.left = `${(-100 * view.left) / view.width}%`;
  style.top = `${(-100 * view.top) / view.height}%`;
  draw(view, picture.answer?.envelope);
}

/** The part of the picture that is shown: all of it, or the face with what is around it. */
function viewOf([width, height], face) {
  if (!layers.zoom || !face) return { left: 0, top: 0, width, height };
  const { extent } = face;
  const side = 1.7 * Math.max(extent.width, extent.height);
  const [w, h] = [Math.min(width, side), Math.min(height, side)];
  const within = (middle, part, whole) => Math.max(0, Math.min(whole - part, middle - part / 2));
  return {
    left: within(extent.left + extent.width / 2, w, width),
    top: within(extent.top + extent.height / 2, h, height),
    width: w,
    height: h,
  };
}

function draw(view, envelope) {
  const [context, px] = prepare($('overlay'), view.width, view.height, view.left, view.top);
  if (!envelope?.details) return;
  const { face, details } = envelope;
  if (!picture.size && picture.crop) {
    const { left, top, width, height } = face.rectangle;
    context.drawImage(picture.crop, left, top, width, height);
  }
  const [main, ...others] = details.faces;
  if (!main) return;
  if (layers.landmarks && details.landmarks) drawLandmarks(context, details.landmarks, main.extent.width, px);
  if (layers.box) {
    for (const { extent } of others) dashed(context, extent, '#ffd27a', px);
    brackets(context, face?.rectangle ?? main.extent, face ? '#4ade9b' : '#ff8a80', px);
  }
  if (layers.keypoints) drawKeypoints(context, main, px);
}

/** The mesh of 478 points; nearer ones are brighter. */
function drawLandmarks(context, landmarks, width, px) {
  const depths = landmarks.map(([, , z]) => z);
  const [near, far] = [Math.min(...depths), Math.max(...depths)];
  const radius = Math.max(0.75, Math.min(1.7, width / px / 190)) * px;
  context.fillStyle = '#e6f6ff';
  for (const [x, y, z] of landmarks) {
    context.globalAlpha = 0.95 - 0.5 * ((z - near) / (far - near || 1));
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
  }
  context.globalAlpha = 1;
}

/** Eyes, nose and corners of the mouth. */
function drawKeypoints(context, { extent, keypoints }, px) {
  const radius = Math.max(2.2, Math.min(4, extent.width / px / 26)) * px;
  context.fillStyle = '#3447d4';
  context.strokeStyle = '#fff';
  context.lineWidth = radius * 0.45;
  for (const [x, y] of keypoints) {
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

for (const button of document.querySelectorAll('[data-layer]')) {
  button.addEventListener('click', () => {
    const { layer } = button.dataset;
    layers[layer] = !layers[layer];
    button.setAttribute('aria-pressed', String(layers[layer]));
    layout();
  });
}
