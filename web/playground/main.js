// The playground: one picture in, the service's answer shown. Nothing is kept: credentials and pictures live in this
// tab's memory only, and every request goes to the server that this page came from.
import { showCall } from './call.js';
import { closeCamera, drawGuide, setUpCamera } from './camera.js';
import { compareAnswer } from './compare.js';
import { $, sentence } from './dom.js';
import { jpeg, scaledCanvas } from './drawing.js';
import { layout, present } from './picture.js';
import { cropSource, showAnswer, showBusy, showProblem } from './result.js';
import { base64, isSignedIn, post, sessionId, signIn, signOut, watchService } from './service.js';

/** Pixels of the longer side of a picture that is scaled down for a service that refused it as too large. */
const REDUCED_SIDE = 2000;
/** Bytes of a picture that a service may have hung up on. */
const LARGE = 8 << 20;

/**
 * What is on the bench. From the start: `blob` with its `name`, or `link`, which is `inline` when it is a data URI.
 * Later the `request`, the `answer` (of service.js), the `size` once the browser shows the picture, and the `crop` to
 * draw where it does not.
 */
let current = null;
let running = null;

/** Shows one of the bench's three faces. */
function stage(name) {
  for (const each of ['empty', 'shown', 'camera']) $(each).hidden = each !== name;
  $('drop').classList.toggle('is-empty', name === 'empty');
  $('sources').hidden = name === 'camera';
}

/** Puts a picture, or none, on the bench in place of the last one and of all that was said of that. */
function clear(picture) {
  closeCamera();
  running?.abort();
  current = picture;
  $('link-error').textContent = '';
  $('link').removeAttribute('aria-invalid');
  $('source-note').textContent = '';
  stage(picture ? 'shown' : 'empty');
  compareAnswer(null);
}

function place(picture) {
  clear(picture);
  present(picture);
  analyse(picture);
}

/** Takes a picture from a file, the clipboard or the camera. */
function takeBlob(blob, name) {
  if (blob.size > 0) place({ blob, name });
  else refuse('This file is empty', 'Please choose another one.');
}

/** What was chosen cannot even be sent. */
function refuse(title, more) {
  clear(null);
  layout();
  showCall(null);
  showProblem(title, more);
}

function takeLink(text) {
  const link = text.trim();
  const inline = /^data:image\//i.test(link);
  const valid = inline || (URL.canParse(link) && ['http:', 'https:'].includes(new URL(link).protocol));
  if (valid) {
    place({ link, inline });
    return;
  }
  $('link').setAttribute('aria-invalid', 'true');
  $('link-error').textContent = 'Please enter a whole link that begins with http:// or https://.';
  $('link').focus();
}

/** Takes what was dropped or pasted; answers whether it was a picture or a link to one. */
function takeTransfer(transfer) {
  const [file, ...others] = transfer?.files ?? [];
  if (file) {
    takeBlob(file, file.name);
    if (others.length) $('source-note').textContent = `One picture at a time: only ${file.name} was taken.`;
    return true;
  }
  const text = (transfer?.getData('text/uri-list') || transfer?.getData('text/plain') || '').trim();
  if (!/^(https?:\/\/|data:image\/)/i.test(text)) return false;
  takeLink(text.split('\n')[0]);
  return true;
}

/** Has a picture checked; asks for credentials as often as the service refuses them. */
async function analyse(picture) {
  running?.abort();
  const control = new AbortController();
  running = control;
  const stale = () => control.signal.aborted || current !== picture;
  try {
    picture.answer = await ask(picture, control.signal, stale);
    if (stale()) return;
    if (!picture.answer) {
      showProblem('Sign in to check this picture', 'The service answers only to its users.', { retry: true });
      return;
    }
    showAnswer(picture);
    compareAnswer(picture);
    showCall(picture, 'response');
    loadCrop(picture);
  } catch (error) {
    if (stale()) return;
    picture.answer = null;
    // A server may hang up in the middle of a body that is over its limit.
    const large = picture.blob?.size > LARGE;
    const more = large ? `${error.message} Or the picture is larger than the service takes.` : error.message;
    showProblem('No answer', more, { retry: true, smaller: large });
    showCall(picture);
  } finally {
    if (running === control) busy(false);
    layout();
  }
}

/** The service's answer; null when nobody signs in. */
async function ask(picture, signal, stale) {
  for (let problem = ''; ;) {
    if (!isSignedIn() && !(await signIn(problem))) return null;
    if (stale()) return null;
    busy(true);
    picture.request ??= {
      sessionId: sessionId(),
      faceImageBase: picture.link ?? (await base64(picture.blob)),
      returnFaceImage: true,
      returnDetails: true,
    };
    const answer = await post(JSON.stringify(picture.request), { signal });
    if (answer.status !== 401 || stale()) return answer;
    busy(false);
    signOut();
    problem = sentence(answer.envelope?.errorDetail?.message);
  }
}

function busy(on) {
  showBusy(on);
  $('scan').hidden = !on;
}

/** Where the browser cannot show the picture, the face that the service cut out of it is drawn. */
async function loadCrop(picture) {
  const { envelope } = picture.answer;
  if (picture.size || !envelope?.face) return;
  const image = new Image();
  image.src = cropSource(envelope);
  await image.decode();
  picture.crop = image;
  layout();
}

/** A copy that is small enough for the service, upright as the browser shows it. */
async function scaledDown(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
  const canvas = scaledCanvas(bitmap, bitmap.width, bitmap.height, REDUCED_SIDE);
  bitmap.close();
  return jpeg(canvas, 0.9);
}

// ---------------------------------------------------------------------------------------------------- Ways in

for (const id of ['file', 'snap']) {
  $(id).addEventListener('change', (event) => {
    const [file] = event.target.files;
    if (file) takeBlob(file, file.name);
    // The same file may be chosen again.
    event.target.value = '';
  });
}

$('link-form').addEventListener('submit', (event) => {
  event.preventDefault();
  takeLink($('link').value);
});

const drop = $('drop');
drop.addEventListener('click', () => {
  if (drop.classList.contains('is-empty')) $('file').click();
});
for (const type of ['dragenter', 'dragover']) {
  document.addEventListener(type, (event) => {
    event.preventDefault();
    drop.classList.add('is-over');
  });
}
document.addEventListener('dragleave', (event) => {
  if (!event.relatedTarget) drop.classList.remove('is-over');
});
document.addEventListener('drop', (event) => {
  event.preventDefault();
  drop.classList.remove('is-over');
  if (!takeTransfer(event.dataTransfer)) {
    $('source-note').textContent = 'What was dropped is neither a picture nor a link to one.';
  }
});
document.addEventListener('paste', (event) => {
  if (event.target.closest?.('input, dialog')) return;
  if (takeTransfer(event.clipboardData)) event.preventDefault();
});

$('retry-button').addEventListener('click', () => {
  $('result').focus({ preventScroll: true });
  analyse(current);
});
$('smaller-button').addEventListener('click', async () => {
  try {
    takeBlob(await scaledDown(current.blob), current.name);
  } catch {
    showProblem('The picture cannot be scaled down', 'The browser cannot open it either.');
  }
});

setUpCamera({
  opened() {
    running?.abort();
    stage('camera');
    layout();
  },
  closed() {
    stage(current ? 'shown' : 'empty');
    layout();
  },
  taken: (blob) => takeBlob(blob, 'camera.jpg'),
});

new ResizeObserver(() => {
  layout();
  drawGuide();
}).observe(drop);

stage('empty');
showCall(null);
watchService();
