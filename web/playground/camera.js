// The camera with its live guide: small frames go to the service, its answers say what to change before the shot.
import { $, pause, sentence } from './dom.js';
import { arrow, brackets, fit, jpeg, prepare, scaledCanvas } from './drawing.js';
import { guide, target } from './guide.js';
import { base64, isSignedIn, post, sessionId, signIn, signOut } from './service.js';

/** Milliseconds from one frame to the next, and a frame's longer side in pixels. */
const PREVIEW_INTERVAL = 500;
const PREVIEW_SIDE = 640;
const GOOD = '#4ade9b';
const HINT = '#ffd27a';

/** What goes on between opening and closing: the stream, the frame under way, the last answer. */
let camera = null;
/** Told about the camera: `opened`, `closed`, and `taken` with each picture. */
let owner = null;

async function openCamera(facing = 'user') {
  if (!navigator.mediaDevices?.getUserMedia) {
    // Without HTTPS the browser gives no live camera, but a phone's own camera app is still there.
    $('source-note').textContent =
      'Browsers give the live camera to pages over HTTPS or on localhost only. On a phone the camera app opens instead.';
    $('snap').click();
    return;
  }
  if (!isSignedIn() && !(await signIn())) return;
  closeCamera();
  const session = { facing, stream: null, flight: null, control: new AbortController(), good: 0 };
  camera = session;
  owner.opened();
  for (const item of $('checks').children) mark(item, 'unknown');
  tell({ state: 'wait', main: 'Starting the camera…', more: '' });
  $('shoot').disabled = true;
  $('shoot').focus();
  $('source-note').textContent = '';
  try {
    const video = { facingMode: facing, width: { ideal: 1280 }, height: { ideal: 960 } };
    session.stream = await navigator.mediaDevices.getUserMedia({ video, audio: false });
    if (camera !== session) {
      for (const track of session.stream.getTracks()) track.stop();
      return;
    }
    const element = $('video');
    element.srcObject = session.stream;
    await element.play();
    const facingNow = session.stream.getVideoTracks()[0].getSettings?.().facingMode ?? facing;
    session.selfie = facingNow !== 'environment';
    element.classList.toggle('mirrored', session.selfie);
    const devices = await navigator.mediaDevices.enumerateDevices();
    $('flip').hidden = devices.filter((device) => device.kind === 'videoinput').length < 2;
    session.stream.getVideoTracks()[0].addEventListener('ended', () => {
      if (camera === session) leave('The camera was switched off.');
    });
    if (camera !== session) return;
    $('shoot').disabled = false;
    $('shoot').focus();
    tell({ state: 'wait', main: 'Looking for your face…', more: '' });
    watch(session);
  } catch (error) {
    if (camera !== session) return;
    const reasons = {
      NotAllowedError: 'The camera is not allowed for this page. Allow it in the browser’s settings for this site.',
      NotFoundError: 'This device has no camera.',
      NotReadableError: 'The camera is in use by another program.',
      OverconstrainedError: 'This device has no such camera.',
    };
    leave(reasons[error.name] ?? 'The camera did not start.');
  }
}

export function closeCamera(note = '') {
  if (!camera) return;
  const session = camera;
  camera = null;
  session.control.abort();
  for (const track of session.stream?.getTracks() ?? []) track.stop();
  $('video').srcObject = null;
  owner.closed();
  $('source-note').textContent = note;
}

/** The video's current picture as a canvas of at most `longest` pixels. */
function grab(longest = Infinity) {
  const video = $('video');
  return scaledCanvas(video, video.videoWidth, video.videoHeight, longest);
}

/** Sends frames, one after the other, about twice a second. */
async function watch(session) {
  const live = () => camera === session && !session.shooting;
  while (live()) {
    const begin = performance.now();
    let wait = PREVIEW_INTERVAL;
    if (!document.hidden && $('video').videoWidth) {
      const canvas = grab(PREVIEW_SIDE);
      session.flight = look(session, canvas);
      wait = await session.flight;
      session.flight = null;
    }
    await pause(Math.max(50, wait - (performance.now() - begin)));
  }
}

/** Sends one frame and shows what its answer means; answers how long to wait before the next. */
async function look(session, canvas) {
  try {
    const picture = await base64(await jpeg(canvas, 0.85));
    const body = JSON.stringify({ sessionId: sessionId(), faceImageBase: picture, returnDetails: true });
    const { status, envelope, retryAfter } = await post(body, { signal: session.control.signal });
    if (camera !== session) return PREVIEW_INTERVAL;
    if (status === 401) {
      signOut();
      tell({ state: 'wait', main: 'Please sign in again', more: '' });
      if (!(await signIn(sentence(envelope?.errorDetail?.message)))) leave();
      return 0;
    }
    if (!envelope?.details) {
      session.good = 0;
      tell({
        state: 'wait',
        main: 'One moment…',
        more: sentence(envelope?.errorDetail?.message) || 'The service did not answer.',
      });
      return Math.max(2_000, (retryAfter ?? 0) * 1_000);
    }
    const scale = $('video').videoWidth / canvas.width;
    const advice = guide(envelope.details, { scale, selfie: session.selfie });
    session.last = { details: envelope.details, advice, scale };
    tell(advice);
    for (const item of $('checks').children) mark(item, advice.checks[item.dataset.check]);
    drawGuide();
    session.good = advice.state === 'good' ? session.good + 1 : 0;
    if (session.good >= 3 && $('auto').checked && !session.shooting) setTimeout(() => shoot(session), 0);
  } catch (error) {
    if (camera !== session || session.control.signal.aborted) return PREVIEW_INTERVAL;
    session.good = 0;
    tell({ state: 'wait', main: 'No answer', more: error.message });
    return 2_000;
  }
  return PREVIEW_INTERVAL;
}

/** Only changes are written: everything written is read out. */
function tell({ state, main, more }) {
  $('hint').dataset.state = state;
  if ($('hint-main').textContent !== main) $('hint-main').textContent = main;
  if ($('hint-more').textContent !== more) $('hint-more').textContent = more;
}

function mark(item, state) {
  item.dataset.state = state;
  item.hidden = state === 'unknown' && item.dataset.check === 'clear';
  item.querySelector('use').setAttribute('href', `#i-${{ pass: 'pass', fail: 'warn' }[state] ?? 'skip'}`);
  item.querySelector('.sr').textContent = { pass: ': good', fail: ': to be changed' }[state] ?? '';
}

/** Draws the oval to fill, the face that the service sees, and where it should go. */
export function drawGuide() {
  const session = camera;
  const video = $('video');
  if (!session || !video.videoWidth) return;
  fit($('camera-frame'), video.videoWidth, video.videoHeight);
  const { details, advice, scale } = session.last ?? {};
  const [width, height] = details ? [details.image.width, details.image.height] : [video.videoWidth, video.videoHeight];
  const [context, px] = prepare($('guide'), width, height);
  const oval = target(details, width, height, scale ?? 1);
  const mirror = (x) => (session.selfie ? width - x : x);
  const flip = session.selfie ? -1 : 1;

  context.fillStyle = 'rgb(8 11 16 / 46%)';
  context.beginPath();
  context.rect(0, 0, width, height);
  context.ellipse(oval.x, oval.y, oval.rx, oval.ry, 0, 0, 2 * Math.PI);
  context.fill('evenodd');
  context.beginPath();
  context.ellipse(oval.x, oval.y, oval.rx, oval.ry, 0, 0, 2 * Math.PI);
  context.strokeStyle = { good: GOOD, fix: HINT }[advice?.state] ?? '#fff';
  context.lineWidth = 4 * px;
  if (advice?.state !== 'good') context.setLineDash([10 * px, 8 * px]);
  context.stroke();
  context.setLineDash([]);

  const [main] = details?.faces ?? [];
  if (!main || !advice) return;
  const { left, top, width: w, height: h } = main.extent;
  const box = { left: session.selfie ? width - left - w : left, top, width: w, height: h };
  brackets(context, box, advice.state === 'good' ? GOOD : '#fff', px);
  const centre = [mirror(left + w / 2), top + h / 2];
  if (advice.move) arrow(context, centre, [advice.move[0] * flip * width, advice.move[1] * height], 58 * px, HINT, px);
  if (advice.turn) {
    const nose = main.keypoints[2];
    arrow(context, [mirror(nose[0]), nose[1]], [advice.turn[0] * flip, advice.turn[1]], 58 * px, HINT, px);
  }
  if (advice.zoom) {
    for (const [dx, dy] of [
      [-1, -0.8],
      [1, -0.8],
      [1, 0.8],
      [-1, 0.8],
    ]) {
      const inner = [oval.x + dx * oval.rx * 0.8, oval.y + dy * oval.ry];
      const from = advice.zoom > 0 ? inner : [inner[0] + dx * 32 * px, inner[1] + dy * 32 * px];
      arrow(context, from, [dx * advice.zoom, dy * advice.zoom], 34 * px, HINT, px);
    }
  }
}

/** Takes the picture in the camera's full size and has it checked. */
async function shoot(session) {
  if (!session || session !== camera || session.shooting || !$('video').videoWidth) return;
  session.shooting = true;
  $('shoot').disabled = true;
  const canvas = grab();
  // Never more than one request at a time: the last frame's answer first.
  await session.flight;
  if (camera !== session) return;
  const blob = await jpeg(canvas, 0.93);
  if (camera !== session) return;
  owner.taken(blob);
  $('open-camera').focus({ preventScroll: true });
}

/** Closes the camera and goes back to the button that opened it. */
function leave(note) {
  closeCamera(note);
  $('open-camera').focus();
}

/** Connects the buttons; `callbacks` are told what happens. */
export function setUpCamera(callbacks) {
  owner = callbacks;
  $('open-camera').addEventListener('click', () => openCamera());
  $('shoot').addEventListener('click', () => shoot(camera));
  $('flip').addEventListener('click', () => openCamera(camera?.facing === 'user' ? 'environment' : 'user'));
  $('close-camera').addEventListener('click', () => leave());
  $('camera').addEventListener('keydown', (event) => event.key === 'Escape' && leave());
  $('video').addEventListener('loadedmetadata', drawGuide);
  $('video').addEventListener('resize', drawGuide);
  addEventListener('pagehide', () => closeCamera());
}
