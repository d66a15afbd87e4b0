// The playground: one picture in, the service's answer shown. Nothing is kept: credentials and pictures live in this
// tab's memory only, and every request goes to the server that this page came from.

const ENDPOINT = new URL('api/v1/face/detect', new URL('.', location.href)).href;
const READY = new URL('readyz', new URL('.', location.href)).href;
const REQUEST_TIMEOUT = 60_000;
const PREVIEW_INTERVAL = 500;
const PREVIEW_SIDE = 640;
const REDUCED_SIDE = 2000;
const LARGE = 8 << 20;
const LIVE = 0.5;
/** How much a small picture is enlarged at most. */
const ZOOM = 4;

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat('en');
const calm = matchMedia('(prefers-reduced-motion: reduce)');

/** Creates an element; `content` is text or child nodes. */
function make(tag, className, ...content) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...content);
  return element;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  use.setAttribute('href', `#i-${name}`);
  svg.append(use);
  return svg;
}

function show(element, text) {
  element.hidden = !text;
  element.textContent = text ?? '';
}

const round = (value, digits = 0) => number.format(Number(value.toFixed(digits)));
const percent = (value, digits = 0) => `${round(value * 100, digits)} %`;

// ---------------------------------------------------------------------------------------------------- Words

/** The contract's error words: what happened, and what to tell the person in front of the camera. */
const WORDS = {
  FACE_NOT_FOUND: ['No face was found', 'We cannot see your face. Look straight into the camera, in good light.'],
  TOO_MANY_FACES: ['More than one face', 'Please make sure that only you are in the picture.'],
  FACE_TOO_SMALL: ['The face is too small', 'Please move closer to the camera.'],
  FACE_CROPPED: ['The face is cut off', 'Please keep your whole face inside the picture.'],
  FACE_TOO_CLOSE: ['The face is too close to the camera', 'Please move a little further away from the camera.'],
  FACE_CLOSE_TO_BORDER: ['The face is too close to the border', 'Please bring your face to the centre of the picture.'],
  FACE_ANGLE_TOO_LARGE: ['The head is turned away', 'Please turn your face to the camera and hold it at eye level.'],
  FACE_IS_OCCLUDED: ['Something covers the face', 'Please take off masks, dark glasses and scarves, and keep your hands away from your face.'],
};

/** Answers that are not about the picture's face, by HTTP status: title, what to tell the person. */
const STATUSES = {
  400: ['The service did not understand the request', null],
  401: ['The service did not accept the sign-in', null],
  404: ['There is no face service at this address', null],
  405: ['There is no face service at this address', null],
  413: ['The picture is too large', 'This picture is too large. Please choose a smaller one.'],
  415: ['The service did not accept this type of request', null],
  422: ['The picture cannot be read', 'This file does not open as a picture. Please choose a JPEG or PNG.'],
  429: ['Too many requests', 'Please wait a moment and try again.'],
  500: ['The service failed on this picture', 'Something went wrong on our side. Please try again with another picture.'],
  503: ['The service is busy', 'Please wait a moment and try again.'],
};

/** Each rule in plain words: its name, the measured value, the limit. */
const RULES = {
  min_faces: ['A face is in the picture', (v) => `${v} ${v === 1 ? 'face' : 'faces'} found`, (t) => `at least ${t}`],
  max_second_face: ['Nobody else is in the picture', (v) => `Second face has ${percent(v)} of the main face’s height`, (t) => `less than ${percent(t)}`],
  min_interpupillary_distance: ['The eyes are far enough apart', (v) => `${round(v)} px between the pupils`, (t) => `at least ${round(t)} px`],
  min_face_side: ['The face is large enough', (v) => `Shorter side ${round(v)} px`, (t) => `at least ${round(t)} px`],
  min_face_area: ['The face fills enough of the picture', (v) => `${percent(v, 1)} of the picture`, (t) => `at least ${percent(t, 1)}`],
  max_outside: ['The whole face is in the picture', (v) => (v > 0 ? `${round(v)} px are outside` : 'Nothing is outside'), (t) => `at most ${round(t)} px`],
  min_surrounding: ['There is room around the face', (v) => `Picture is ${round(v, 1)} times the face`, (t) => `at least ${round(t, 1)} times`],
  min_opposite_margins: ['The face does not fill the picture', (v) => `${round(v)} px on the roomier side`, (t) => `at least ${round(t)} px`],
  min_margin: ['The face keeps off the border', (v) => (v < 0 ? `${round(-v)} px beyond the border` : `${round(v)} px to the nearest border`), (t) => `at least ${round(t)} px`],
  max_yaw: ['The head is not turned sideways', (v) => `Turned by ${round(v)}°`, (t) => `at most ${round(t)}°`],
  max_pitch: ['The head is not tilted up or down', (v) => `Tilted by ${round(v)}°`, (t) => `at most ${round(t)}°`],
  max_occlusion: ['Nothing covers the face', (v) => `${percent(v)} sure that something covers it`, (t) => `less than ${percent(t)}`],
};

function ruleWords({ rule, measured, threshold, unit }) {
  const [name, value, limit] = RULES[rule] ?? [
    rule.replaceAll('_', ' '),
    (v) => `${round(v, 2)} ${unit}`,
    (t) => `${rule.startsWith('min') ? 'at least' : 'at most'} ${round(t, 2)} ${unit}`,
  ];
  return { name, value: measured === undefined ? null : value(measured), limit: limit(threshold) };
}

/** -10000 (certainly male) to 10000 (certainly female) in words. */
export function genderWords(gender) {
  const sure = Math.floor((10_000 + Math.abs(gender)) / 200);
  if (sure < 60) return { word: 'Undecided', certainty: 'neither is likelier by much' };
  return { word: gender < 0 ? 'Male' : 'Female', certainty: `${sure} % certain` };
}

function livenessWords({ reliability, surrounding }) {
  if (reliability === undefined) return '';
  const size = surrounding === undefined ? '' : `: the picture is ${round(surrounding, 1)} times the face`;
  if (reliability >= 0.67) return `High reliability (${percent(reliability)})${size}, enough to judge by.`;
  if (reliability >= 0.34) return `Medium reliability (${percent(reliability)})${size}. More room around the face makes it firmer.`;
  return `Low reliability (${percent(reliability)})${size}. Step back: the check needs to see what is around the face.`;
}

const side = (degrees, positive, negative) => {
  const whole = Math.round(Math.abs(degrees));
  return whole === 0 ? '0°' : `${whole}° ${degrees > 0 ? positive : negative}`;
};

// ---------------------------------------------------------------------------------------------------- Sign-in

/** The value of the Authorization header; in memory only. */
let authorization = null;
let asking = null;

function basic(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`;
}

/** Asks for credentials; resolves to whether there are any now. */
function signIn(problem = '') {
  if (!asking) {
    asking = {};
    asking.promise = new Promise((resolve) => (asking.resolve = resolve));
    $('login').showModal();
    $(problem && $('user').value ? 'password' : 'user').focus();
  }
  $('login-error').textContent = problem;
  return asking.promise;
}

function signedIn(header, user) {
  authorization = header;
  $('account').replaceChildren(header ? 'Sign out' : 'Sign in', ...(header ? [make('span', 'account-user', ` ${user}`)] : []));
}

/** An empty request tells whether the service accepts the credentials: it answers 400 and not 401. */
async function submitLogin(event) {
  event.preventDefault();
  const [user, password] = [$('user').value, $('password').value];
  if (!user || !password) {
    $('login-error').textContent = 'Please enter both the user name and the password.';
    $(user ? 'password' : 'user').focus();
    return;
  }
  $('login-submit').disabled = true;
  try {
    const header = basic(user, password);
    const answer = await post(JSON.stringify({ sessionId: sessionId() }), { header });
    if (answer.status === 401 || answer.status === 429) {
      $('login-error').textContent = sentence(answer.envelope?.errorDetail?.message ?? 'The service did not accept this.');
      $('password').select();
      return;
    }
    signedIn(header, user);
    $('login').close();
  } catch (error) {
    $('login-error').textContent = error.message;
  } finally {
    $('login-submit').disabled = false;
  }
}

$('login-form').addEventListener('submit', submitLogin);
$('login-cancel').addEventListener('click', () => $('login').close());
$('login').addEventListener('close', () => {
  $('password').value = '';
  $('login-error').textContent = '';
  asking?.resolve(authorization !== null);
  asking = null;
});
$('account').addEventListener('click', () => {
  if (authorization) signedIn(null);
  else signIn();
});

// ---------------------------------------------------------------------------------------------------- Requests

/** Also in pages without a secure context, where there is no crypto.randomUUID. */
function sessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `playground-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

const sentence = (text) => (text ? `${text[0].toUpperCase()}${text.slice(1)}${/[.!?…]$/.test(text) ? '' : '.'}` : '');

/** Sends a request body; throws an error with a message for people when no answer comes. */
async function post(body, { header = authorization, signal } = {}) {
  const begin = performance.now();
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), REQUEST_TIMEOUT);
  const stop = () => timeout.abort();
  signal?.addEventListener('abort', stop);
  try {
    const response = await fetch(ENDPOINT, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: header },
      // With the browser's own credentials a 401 would open the browser's login box.
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: timeout.signal,
      body,
    });
    const text = await response.text();
    let envelope = null;
    try {
      envelope = JSON.parse(text);
    } catch {
      // A proxy in between may answer with a page of its own.
    }
    if (typeof envelope !== 'object' || !('hasError' in (envelope ?? {}))) envelope = null;
    return {
      status: response.status,
      retryAfter: Number.parseInt(response.headers.get('Retry-After') ?? '', 10) || null,
      envelope,
      text,
      millis: performance.now() - begin,
    };
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Error(
      timeout.signal.aborted
        ? 'The service did not answer within a minute.'
        : 'The service cannot be reached. Check that it runs and that this device is connected to it.',
    );
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener('abort', stop);
  }
}

function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.onerror = () => reject(new Error('The browser could not read this file.'));
    reader.readAsDataURL(blob);
  });
}

const pause = (millis) => new Promise((resolve) => setTimeout(resolve, millis));

async function watchService() {
  for (;;) {
    let [state, text] = ['down', 'Service not reachable'];
    try {
      const response = await fetch(READY, { credentials: 'omit', cache: 'no-store' });
      if (response.ok) [state, text] = ['ready', 'Service ready'];
      else if (response.status === 503) [state, text] = ['wait', 'Service is starting…'];
    } catch {
      // Not reachable.
    }
    if ($('service').dataset.state !== state) {
      $('service').dataset.state = state;
      $('service-text').textContent = text;
    }
    await pause(state === 'ready' ? 30_000 : 2_000);
    while (document.hidden) await pause(1_000);
  }
}

// ---------------------------------------------------------------------------------------------------- The picture

/**
 * What is on the bench: `blob` or `link`, the request and the answer.
 * `seen` is whether the browser can show the picture.
 */
let shown = null;
let running = null;
const layers = { box: true, keypoints: true, landmarks: true, zoom: false };

/** Takes a picture from a file, the clipboard or the camera. */
function takeBlob(blob, name = 'picture') {
  if (!blob) return;
  if (blob.size === 0) {
    $('link-error').textContent = 'This file is empty.';
    return;
  }
  place({ blob, name });
}

function takeLink(text) {
  const link = text.trim();
  if (/^data:image\//i.test(link)) {
    place({ link, name: 'portrait.jpg', data: true });
    return;
  }
  let valid = false;
  try {
    valid = ['http:', 'https:'].includes(new URL(link).protocol);
  } catch {
    // Not a link.
  }
  $('link').setAttribute('aria-invalid', String(!valid));
  if (valid) {
    place({ link, name: link });
  } else {
    $('link-error').textContent = 'Please enter a whole link that begins with http:// or https://.';
    $('link').focus();
  }
}

function place(picture) {
  closeCamera();
  if (shown?.url) URL.revokeObjectURL(shown.url);
  shown = { ...picture, seen: false, size: null, url: null, answer: null };
  $('link-error').textContent = '';
  $('link').removeAttribute('aria-invalid');
  $('camera-note').textContent = '';
  $('layers').hidden = true;
  clearOverlay();
  const current = shown;
  const image = $('image');
  image.onload = () => {
    if (shown !== current) return;
    shown.seen = true;
    shown.size = [image.naturalWidth, image.naturalHeight];
    layout();
  };
  image.onerror = () => {
    if (shown !== current) return;
    image.hidden = true;
    layout();
  };
  image.removeAttribute('src');
  image.hidden = false;
  if (picture.blob) {
    shown.url = URL.createObjectURL(picture.blob);
    image.src = shown.url;
  } else if (picture.data) {
    image.src = picture.link;
  } else {
    // The page may not load anything from elsewhere: only the service sees what is behind the link.
    image.hidden = true;
  }
  image.alt = picture.blob ? `The picture that was checked: ${picture.name}` : 'The picture that was checked';
  stage('shown');
  layout();
  analyse(current);
}

function stage(name) {
  for (const each of ['empty', 'shown', 'camera']) $(each).hidden = each !== name;
  $('drop').classList.toggle('is-empty', name === 'empty');
  $('sources').hidden = name === 'camera';
  $('layers').hidden = name !== 'shown' || !shown?.answer?.envelope?.details?.faces?.length;
}

/** Checks a picture; asks for credentials as often as the service refuses them. */
async function analyse(picture, { returning = false } = {}) {
  running?.abort();
  const control = new AbortController();
  running = control;
  const stale = () => control.signal.aborted || shown !== picture;
  try {
    if (!authorization && !(await signIn())) {
      if (!stale()) renderProblem('Sign in to check this picture', 'The service answers only to its users.', { retry: true });
      return;
    }
    if (stale()) return;
    busy(true);
    picture.request ??= {
      sessionId: sessionId(),
      faceImageBase: picture.link ?? (await base64(picture.blob)),
      returnFaceImage: true,
      returnDetails: true,
    };
    const answer = await post(JSON.stringify(picture.request), { signal: control.signal });
    if (stale()) return;
    picture.answer = answer;
    if (answer.status === 401 && !returning) {
      busy(false);
      signedIn(null);
      renderAnswer(picture);
      if (await signIn(sentence(answer.envelope?.errorDetail?.message))) await analyse(picture, { returning: true });
      return;
    }
    renderAnswer(picture);
  } catch (error) {
    if (stale()) return;
    picture.answer = null;
    // A server may hang up in the middle of a body that is over its limit.
    const large = picture.blob?.size > LARGE;
    const more = large ? `${error.message} Or the picture is larger than the service takes.` : error.message;
    renderProblem('No answer', more, { retry: true, smaller: large });
    renderCode();
  } finally {
    if (running === control) busy(false);
  }
}

function busy(on) {
  $('result').setAttribute('aria-busy', String(on));
  $('scan').hidden = !on;
  if (on) $('announce').textContent = 'Checking the picture…';
}

/** A copy that is small enough for the service, upright as the browser shows it. */
async function scaledDown(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: 'from-image' });
  const scale = Math.min(1, REDUCED_SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(bitmap.width * scale);
  canvas.height = Math.round(bitmap.height * scale);
  canvas.getContext('2d').drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return jpeg(canvas, 0.9);
}

function jpeg(canvas, quality) {
  return new Promise((resolve, reject) =>
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error('The browser could not make a picture.'))), 'image/jpeg', quality),
  );
}

// ---------------------------------------------------------------------------------------------------- Drawing

/** Fits a frame of `width` by `height` picture pixels into the drop zone. */
function fit(frame, width, height) {
  const room = $('drop').clientWidth;
  const scale = Math.min(room / width, Math.max(260, Math.min(innerHeight * 0.68, 640)) / height, ZOOM);
  frame.style.width = `${Math.round(width * scale)}px`;
  frame.style.height = `${Math.round(height * scale)}px`;
}

/**
 * Prepares a canvas over its frame for drawing in picture pixels, of which it shows those from `left` and `top` on;
 * answers the context and the size of one CSS pixel.
 */
function prepare(canvas, width, height, left = 0, top = 0) {
  const density = Math.min(devicePixelRatio || 1, 3);
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  canvas.width = Math.max(1, Math.round(w * density));
  canvas.height = Math.max(1, Math.round(h * density));
  const context = canvas.getContext('2d');
  context.setTransform(canvas.width / width, 0, 0, canvas.height / height, 0, 0);
  context.translate(-left, -top);
  return [context, width / Math.max(1, w)];
}

function clearOverlay() {
  const canvas = $('overlay');
  canvas.width = canvas.height = 1;
}

/** Corner brackets with a dark edge, to be seen on every picture. */
function brackets(context, { left, top, width, height }, colour, px) {
  const arm = Math.min(width, height) * 0.2;
  context.beginPath();
  for (const [x, y, dx, dy] of [[left, top, 1, 1], [left + width, top, -1, 1], [left + width, top + height, -1, -1], [left, top + height, 1, -1]]) {
    context.moveTo(x + dx * arm, y);
    context.lineTo(x, y);
    context.lineTo(x, y + dy * arm);
  }
  context.lineCap = context.lineJoin = 'round';
  for (const [style, width] of [['rgb(0 0 0 / 55%)', 6.5], [colour, 3.5]]) {
    context.strokeStyle = style;
    context.lineWidth = width * px;
    context.stroke();
  }
}

function layout() {
  if (!shown || $('shown').hidden) return;
  const details = shown.answer?.envelope?.details;
  const size = details ? [details.image.width, details.image.height] : shown.size;
  $('frame').hidden = !size;
  $('frame').classList.toggle('blank', !shown.seen);
  const name = shown.blob ? 'this file' : 'the picture behind the link';
  show($('unseen'), shown.seen || (!$('image').hidden && !shown.answer) ? '' : size
    ? `The browser does not show ${name}: only what the service returned is drawn.`
    : `The browser does not show ${name}. The service looks at it all the same.`);
  if (!size) return;
  const view = viewOf(size, details?.faces[0]);
  fit($('frame'), view.width, view.height);
  const { style } = $('image');
  style.width = `${(100 * size[0]) / view.width}%`;
  style.height = `${(100 * size[1]) / view.height}%`;
  style.left = `${(-100 * view.left) / view.width}%`;
  style.top = `${(-100 * view.top) / view.height}%`;
  draw(view, details);
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

function draw(view, details) {
  const [context, px] = prepare($('overlay'), view.width, view.height, view.left, view.top);
  const { envelope } = shown.answer ?? {};
  if (!details) return;
  if (!shown.seen && shown.crop && envelope.face) {
    const { left, top, width, height } = envelope.face.rectangle;
    context.drawImage(shown.crop, left, top, width, height);
  }
  const accepted = !envelope.hasError;
  const colour = accepted ? '#4ade9b' : '#ff8a80';
  const [main, ...others] = details.faces;
  if (!main) return;
  if (layers.landmarks && details.landmarks) {
    // Nearer points are brighter.
    const depths = details.landmarks.map(([, , z]) => z);
    const [near, far] = [Math.min(...depths), Math.max(...depths)];
    const radius = Math.max(0.75, Math.min(1.7, main.extent.width / px / 190)) * px;
    for (const [x, y, z] of details.landmarks) {
      context.globalAlpha = 0.95 - 0.5 * ((z - near) / (far - near || 1));
      context.fillStyle = '#e6f6ff';
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fill();
    }
    context.globalAlpha = 1;
  }
  if (layers.box) {
    for (const { extent } of others) {
      context.setLineDash([5 * px, 4 * px]);
      for (const [style, width] of [['rgb(0 0 0 / 55%)', 3.5], ['#ffd27a', 1.8]]) {
        context.strokeStyle = style;
        context.lineWidth = width * px;
        context.strokeRect(extent.left, extent.top, extent.width, extent.height);
      }
      context.setLineDash([]);
    }
    brackets(context, accepted ? envelope.face.rectangle : main.extent, colour, px);
  }
  if (layers.keypoints) {
    const radius = Math.max(2.2, Math.min(4, main.extent.width / px / 26)) * px;
    for (const [x, y] of main.keypoints) {
      context.beginPath();
      context.arc(x, y, radius, 0, 2 * Math.PI);
      context.fillStyle = '#3447d4';
      context.fill();
      context.strokeStyle = '#fff';
      context.lineWidth = radius * 0.45;
      context.stroke();
    }
  }
}

// ---------------------------------------------------------------------------------------------------- The result

function verdict(state, mark, title, more, word) {
  $('result-empty').hidden = true;
  $('verdict').hidden = false;
  $('verdict').dataset.state = state;
  $('verdict-icon').setAttribute('href', `#i-${mark}`);
  $('verdict-title').textContent = title;
  show($('verdict-more'), more);
  show($('verdict-word'), word);
}

function advise(text) {
  $('advice').hidden = !text;
  $('advice-text').textContent = text ?? '';
}

let countdown = null;

/** Offers to send again, after `seconds` if the service asked for patience. */
function offerRetry({ retry = false, seconds = 0, smaller = false }) {
  clearInterval(countdown);
  $('retry').hidden = !retry && !smaller;
  $('retry-button').hidden = !retry;
  $('smaller-button').hidden = !smaller;
  let left = seconds;
  const tick = () => {
    $('retry-button').disabled = left > 0;
    $('retry-button').textContent = left > 0 ? `Try again in ${left} s` : 'Try again';
    if (left-- <= 0) clearInterval(countdown);
  };
  tick();
  if (seconds > 0) countdown = setInterval(tick, 1_000);
}

/** Something other than a judged picture. */
function renderProblem(title, more, { word = '', tell = null, retry = false, seconds = 0, smaller = false } = {}) {
  verdict('fault', 'warn', title, more, word);
  advise(tell);
  show($('developer'), '');
  offerRetry({ retry, seconds, smaller });
  for (const id of ['measures', 'rules-card', 'quality-card', 'layers']) $(id).hidden = true;
  clearOverlay();
  layout();
  announce([title, more, tell && `Tell the person: ${tell}`]);
}

function announce(parts) {
  $('announce').textContent = parts.filter(Boolean).map(sentence).join(' ');
  // On a phone the result lies below the picture.
  if (matchMedia('(max-width: 60rem)').matches) {
    $('result').scrollIntoView({ behavior: calm.matches ? 'auto' : 'smooth', block: 'start' });
  }
}

function renderAnswer(picture) {
  const { status, envelope, retryAfter } = picture.answer;
  renderCode('response');
  if (!envelope) {
    renderProblem(`Unexpected answer (HTTP ${status})`, 'This did not come from the service. Is there a proxy in between?', { retry: true });
    return;
  }
  if (envelope.hasError && !(envelope.error in WORDS)) {
    const { code = '', message = '' } = envelope.errorDetail ?? {};
    let [title, tell] = STATUSES[status] ?? [`The service answered with HTTP ${status}`, null];
    if (code.startsWith('link_')) {
      [title, tell] = ['The link was not fetched', null];
    } else if (code === 'not_ready') {
      title = 'The service is still starting';
    }
    renderProblem(title, sentence(message), {
      word: `HTTP ${status} · ${[envelope.error, code].filter(Boolean).join(' · ')}`,
      tell,
      retry: [401, 429, 500, 503].includes(status),
      seconds: retryAfter ?? 0,
      smaller: Boolean(picture.blob) && (status === 413 || /pixel|too_large/.test(code)),
    });
    return;
  }
  offerRetry({});
  const accepted = !envelope.hasError;
  if (accepted) {
    verdict('good', 'pass', 'Usable: exactly one good face', meets(envelope.details?.rules ?? []), '');
    advise(null);
    show($('developer'), '');
  } else {
    const [title, tell] = WORDS[envelope.error];
    const { code, message } = envelope.errorDetail ?? {};
    verdict('bad', 'fail', title, 'The picture cannot be used.', [envelope.error, code].filter(Boolean).join(' · '));
    advise(tell);
    show($('developer'), sentence(message));
  }
  const spoken = renderMeasures(picture, accepted);
  renderRules(envelope.details?.rules ?? []);
  renderQuality(envelope.details?.quality);
  $('layers').hidden = !envelope.details?.faces?.length;
  layout();
  announce([$('verdict-title').textContent, ...(accepted ? spoken : [`Tell the person: ${$('advice-text').textContent}`])]);
}

/** How much "usable" says: warnings and rules that were not measured do not reject. */
function meets(rules) {
  const warned = rules.filter((rule) => rule.verdict === 'fail').length;
  if (warned) return `The picture meets every rule that rejects, with ${warned} ${warned === 1 ? 'warning' : 'warnings'}.`;
  const unmeasured = rules.some((rule) => rule.verdict === 'skipped' && rule.action !== 'off' && rule.rule !== 'max_second_face');
  return unmeasured ? 'The picture meets every rule that was measured.' : 'The picture meets every rule.';
}

function renderMeasures(picture, accepted) {
  const { envelope, millis } = picture.answer;
  const { face, details } = envelope;
  const gender = face?.gender ?? (details?.femaleProbability === undefined ? undefined : Math.round(10_000 * (2 * details.femaleProbability - 1)));
  const age = face?.age ?? (details?.age === undefined ? undefined : Math.round(details.age));
  const score = face?.passiveLivenessScore ?? details?.liveness?.score;
  const spoken = [];

  const crop = face?.faceImageBase ?? envelope.faceImageBase;
  $('crop-figure').hidden = !crop;
  picture.crop = null;
  if (crop) {
    const source = `data:image/jpeg;base64,${crop}`;
    $('crop').src = source;
    $('crop-size').textContent = `${face.rectangle.width} × ${face.rectangle.height}`;
    if (!picture.seen) {
      const image = new Image();
      image.onload = () => {
        picture.crop = image;
        if (shown === picture) layout();
      };
      image.src = source;
    }
  }

  $('person').hidden = age === undefined && gender === undefined && !crop;
  $('age').textContent = age ?? '–';
  if (age !== undefined) spoken.push(`Age ${age}`);
  $('balance').hidden = gender === undefined;
  if (gender === undefined) {
    $('gender').textContent = '–';
    $('gender-certainty').textContent = '';
  } else {
    const words = genderWords(gender);
    $('gender').textContent = words.word;
    $('gender-certainty').textContent = words.certainty;
    const half = (Math.min(10_000, Math.abs(gender)) / 10_000) * 50;
    $('balance-fill').style.left = `${gender < 0 ? 50 - half : 50}%`;
    $('balance-fill').style.width = `${half}%`;
    $('balance').setAttribute('aria-label', `${number.format(gender)} on the scale from −10,000, certainly male, to 10,000, certainly female`);
    $('balance').title = `${number.format(gender)} of −10,000 … 10,000`;
    spoken.push(`${words.word}, ${words.certainty}`);
  }

  $('live').hidden = score === undefined;
  if (score !== undefined) {
    const live = score >= LIVE;
    const text = live ? 'Looks like a live person' : 'Looks like a print, a screen or a mask';
    const state = live ? 'good' : 'bad';
    const angle = Math.PI * (1 - score);
    $('gauge').dataset.state = state;
    $('gauge').setAttribute('aria-valuenow', String(score));
    $('gauge').setAttribute('aria-valuetext', `${score.toFixed(2)}, threshold 0.5: ${text}`);
    $('gauge-value').style.strokeDasharray = `${score * 100} 200`;
    $('gauge-knob').setAttribute('cx', String(110 + 86 * Math.cos(angle)));
    $('gauge-knob').setAttribute('cy', String(112 - 86 * Math.sin(angle)));
    $('gauge-score').textContent = score.toFixed(2);
    $('live-verdict').textContent = text;
    $('live-reliability').textContent = details?.liveness ? livenessWords(details.liveness) : 'The threshold is 0.5; what to do with the score is up to you.';
    spoken.push(`Liveness ${score.toFixed(2)}: ${text}`);
  }

  const facts = [];
  if (details) {
    const { image, faces, pose, interpupillaryDistance: eyes, timings } = details;
    facts.push(['Picture', `${image.width} × ${image.height} ${image.format.toUpperCase()}`]);
    if (image.exifOrientation !== 1) facts.push(['Turned by EXIF', `Orientation ${image.exifOrientation}`]);
    if (image.uprightRotation) facts.push(['Head upright after', `${image.uprightRotation}° clockwise`]);
    facts.push(['Faces', String(faces.length)]);
    if (eyes !== undefined) facts.push(['Between the pupils', `${round(eyes)} px`]);
    if (pose) {
      facts.push(['Turn', side(pose.yaw, 'to their left', 'to their right')]);
      facts.push(['Tilt', side(pose.pitch, 'up', 'down')]);
      facts.push(['Lean', side(pose.roll, 'clockwise', 'anticlockwise')]);
    }
    const total = Object.values(timings ?? {}).reduce((sum, time) => sum + time, 0);
    if (total) facts.push(['Analysis', `${round(total)} ms`]);
  }
  facts.push(['Answer after', `${round(millis)} ms`]);
  $('facts').replaceChildren(...facts.map(([name, value]) => make('div', '', make('dt', '', name), make('dd', '', value))));
  $('anyway').hidden = accepted || score === undefined;
  $('measures').hidden = false;
  return spoken;
}

const ACTIONS = { pass: ['pass', 'Passed'], fail: ['fail', 'Not met'], warn: ['warn', 'Warning'], skip: ['skip', 'Not measured'] };

function renderRules(rules) {
  $('rules-card').hidden = rules.length === 0;
  const failed = rules.filter((rule) => rule.verdict === 'fail' && rule.action === 'reject').length;
  const warned = rules.filter((rule) => rule.verdict === 'fail' && rule.action === 'warn').length;
  $('rules-note').textContent = [
    failed ? `${failed} of ${rules.length} not met; the first one decides` : 'No rule is broken',
    warned ? `${warned} ${warned === 1 ? 'warning' : 'warnings'}` : '',
  ].filter(Boolean).join(' · ');
  $('rule-list').replaceChildren(...rules.map(renderRule));
}

function renderRule(rule, index, rules) {
  const { name, value, limit } = ruleWords(rule);
  let state = rule.verdict === 'skipped' ? 'skip' : rule.verdict;
  if (state === 'fail' && rule.action === 'warn') state = 'warn';
  let [mark, text] = ACTIONS[state] ?? ACTIONS.skip;
  let told = value;
  if (rule.action === 'off') {
    [mark, text] = ['skip', 'Switched off'];
  } else if (rule.rule === 'max_second_face' && rule.measured === undefined) {
    const found = rules.find((each) => each.rule === 'min_faces')?.measured;
    if (found === 1) {
      [state, mark, text, told] = ['pass', 'pass', 'Passed', 'No second face'];
    }
  }
  const bar = make('div', 'scale');
  bar.setAttribute('aria-hidden', 'true');
  const span = rule.threshold > 0 ? 2 * rule.threshold : 30;
  const part = (amount) => `${Math.max(0, Math.min(1, amount / span)) * 100}%`;
  if (rule.measured !== undefined) {
    const fill = make('span', 'scale-fill');
    fill.style.width = part(rule.measured);
    bar.append(fill);
  }
  const tick = make('span', 'scale-limit');
  tick.style.left = part(rule.threshold);
  bar.append(tick);
  const item = make(
    'li',
    'rule',
    make('div', 'rule-name', name, make('span', 'rule-word', rule.word)),
    make('div', 'rule-value', told ?? 'Not measured', ' ', make('span', 'rule-limit', `Limit: ${limit}`)),
    bar,
    make('span', 'badge', icon(mark), text),
  );
  item.dataset.state = state;
  item.dataset.rule = rule.rule;
  return item;
}

function renderQuality(quality) {
  const entries = Object.entries(quality ?? {});
  $('quality-card').hidden = entries.length === 0;
  $('quality-list').replaceChildren(
    ...entries.map(([name, { value }]) => {
      const words = name.replaceAll('_', ' ').replace(/([a-z])([A-Z])/g, (_, a, b) => `${a} ${b.toLowerCase()}`);
      const fill = make('span', 'scale-fill');
      fill.style.width = `${value}%`;
      const bar = make('span', 'scale', fill);
      bar.setAttribute('aria-hidden', 'true');
      return make('div', '', make('dt', '', words[0].toUpperCase() + words.slice(1)), make('dd', '', String(value)), bar);
    }),
  );
}

// ---------------------------------------------------------------------------------------------------- The call as code

let tab = 'curl';

/** The same value with long texts and long lists of points shortened. */
export function shorten(value) {
  if (typeof value === 'string') return value.length > 120 && !/\s/.test(value.slice(0, 120)) ? `${value.slice(0, 48)}… (${number.format(value.length)} characters)` : value;
  if (Array.isArray(value)) {
    const short = value.length > 20 ? [...value.slice(0, 2), `… ${value.length - 2} more`] : value;
    return short.map(shorten);
  }
  if (value && typeof value === 'object') return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, shorten(each)]));
  return value;
}

/** Writes JSON into `out` with spans for colours; lists of numbers stay on one line. */
function paint(value, out, indent = '') {
  const deeper = `${indent}  `;
  const simple = (each) => typeof each !== 'object' || each === null;
  if (Array.isArray(value)) {
    if (value.length === 0 || (value.every(simple) && value.length <= 4)) {
      out.append('[');
      value.forEach((each, index) => {
        if (index) out.append(', ');
        paint(each, out);
      });
      out.append(']');
      return;
    }
    out.append('[\n');
    value.forEach((each, index) => {
      out.append(deeper);
      paint(each, out, deeper);
      out.append(index < value.length - 1 ? ',\n' : '\n');
    });
    out.append(`${indent}]`);
  } else if (value && typeof value === 'object') {
    const entries = Object.entries(value);
    if (entries.length === 0) {
      out.append('{}');
      return;
    }
    out.append('{\n');
    entries.forEach(([key, each], index) => {
      out.append(deeper, make('span', 'c-key', JSON.stringify(key)), ': ');
      paint(each, out, deeper);
      out.append(index < entries.length - 1 ? ',\n' : '\n');
    });
    out.append(`${indent}}`);
  } else {
    out.append(make('span', typeof value === 'string' ? 'c-text' : 'c-number', JSON.stringify(value)));
  }
}

/** Programs that send what was just sent, with placeholders for the credentials. */
export function snippets({ name = 'portrait.jpg', link = null } = {}) {
  const file = /^\w[\w.-]*$/.test(name) ? name : 'portrait.jpg';
  const text = (value) => JSON.stringify(value);
  const curl = link
    ? `curl -sS -u 'USER:PASSWORD' \\
  -H 'Content-Type: application/json' \\
  --data-binary @- ${ENDPOINT} <<'EOF'
{"sessionId": "demo-1", "returnFaceImage": true, "returnDetails": true,
 "faceImageBase": ${text(link)}}
EOF`
    : `curl -sS -u 'USER:PASSWORD' \\
  -H 'Content-Type: application/json' \\
  --data-binary @- ${ENDPOINT} <<EOF
{"sessionId": "demo-1", "returnFaceImage": true, "returnDetails": true,
 "faceImageBase": "$(base64 < ${file} | tr -d '\\n')"}
EOF`;
  const python = `import base64, json, urllib.request, uuid

${link ? `picture = ${text(link)}` : `with open("${file}", "rb") as file:
    picture = base64.b64encode(file.read()).decode()`}

request = urllib.request.Request(
    "${ENDPOINT}",
    data=json.dumps({
        "sessionId": str(uuid.uuid4()),
        "faceImageBase": picture,
        "returnFaceImage": True,
        "returnDetails": True,
    }).encode(),
    headers={
        "Content-Type": "application/json",
        "Authorization": "Basic " + base64.b64encode("USER:PASSWORD".encode()).decode(),
    },
)
with urllib.request.urlopen(request) as response:
    answer = json.load(response)

if answer["hasError"]:
    print("ask for another picture:", answer["error"])
elif answer["face"]["passiveLivenessScore"] < 0.5:
    print("this may be no live person")
else:
    print("age", answer["face"]["age"])`;
  const javascript = `// Node.js 18 or newer; keep the password on your server.
${link ? '' : 'import { readFile } from "node:fs/promises";\n'}
const response = await fetch("${ENDPOINT}", {
  method: "POST",
  headers: {
    "Content-Type": "application/json",
    Authorization: "Basic " + Buffer.from("USER:PASSWORD").toString("base64"),
  },
  body: JSON.stringify({
    sessionId: crypto.randomUUID(),
    faceImageBase: ${link ? text(link) : `await readFile("${file}", "base64")`},
    returnFaceImage: true,
    returnDetails: true,
  }),
});
const answer = await response.json();

if (answer.hasError) {
  console.log("ask for another picture:", answer.error);
} else if (answer.face.passiveLivenessScore < 0.5) {
  console.log("this may be no live person");
} else {
  console.log("age", answer.face.age);
}`;
  return { curl, python, javascript };
}

const ABOUT = {
  curl: 'In a shell. Put in your user name and password.',
  python: 'Standard library only. Put in your user name and password.',
  javascript: 'For Node.js. Put in your user name and password.',
  request: 'Long texts are shortened here, copied whole.',
  response: 'Long texts and lists are shortened here, copied whole.',
};

/** What the selected tab copies. */
function copyable() {
  if (tab === 'request') return shown?.request ? JSON.stringify(shown.request, null, 2) : '';
  if (tab === 'response') return shown?.answer?.text ?? '';
  return snippets(shown ? { name: shown.name, link: shown.data ? null : shown.link } : {})[tab];
}

function renderCode(select) {
  if (select && shown) tab = select;
  for (const button of document.querySelectorAll('[role="tab"]')) {
    const selected = button.dataset.tab === tab;
    button.setAttribute('aria-selected', String(selected));
    button.tabIndex = selected ? 0 : -1;
  }
  $('code-panel').setAttribute('aria-labelledby', `tab-${tab}`);
  const out = document.createDocumentFragment();
  let about = ABOUT[tab];
  if (tab === 'request' || tab === 'response') {
    const value = tab === 'request' ? shown?.request : shown?.answer?.envelope;
    if (value) {
      paint(shorten(value), out);
    } else {
      out.append(tab === 'request' ? 'No picture was sent yet.' : shown?.answer?.text || 'No answer yet.');
      about = '';
    }
    if (tab === 'response' && shown?.answer) about = `HTTP ${shown.answer.status} · ${about}`;
  } else {
    out.append(copyable());
  }
  $('code').replaceChildren(out);
  $('code').scrollTop = 0;
  $('code-about').textContent = about;
  $('copy').disabled = !copyable();
}

/** Pages without a secure context have no clipboard interface. */
async function copy(text) {
  if (navigator.clipboard && isSecureContext) {
    await navigator.clipboard.writeText(text);
    return;
  }
  const area = make('textarea', 'sr');
  area.value = text;
  document.body.append(area);
  area.select();
  const done = document.execCommand('copy');
  area.remove();
  $('copy').focus();
  if (!done) throw new Error('not copied');
}

$('copy').addEventListener('click', async () => {
  let said = 'Copied';
  try {
    await copy(copyable());
  } catch {
    said = 'Could not copy';
  }
  $('copy-text').textContent = said;
  $('copied').textContent = said;
  await pause(1_800);
  $('copy-text').textContent = 'Copy';
  $('copied').textContent = '';
});

const tabs = [...document.querySelectorAll('[role="tab"]')];
for (const button of tabs) {
  button.addEventListener('click', () => {
    tab = button.dataset.tab;
    renderCode();
  });
  button.addEventListener('keydown', (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    let next = null;
    if (step) next = tabs[(tabs.indexOf(button) + step + tabs.length) % tabs.length];
    if (event.key === 'Home') next = tabs[0];
    if (event.key === 'End') next = tabs.at(-1);
    if (!next) return;
    event.preventDefault();
    tab = next.dataset.tab;
    renderCode();
    next.focus();
  });
}

// ---------------------------------------------------------------------------------------------------- The camera

/**
 * What the person should change, told from the service's answer for a preview frame.
 *
 * `scale` is the size of the picture to be taken relative to the frame: limits in pixels hold for that picture.
 * `selfie` is whether people see themselves, so that words like "your left" help them.
 */
export function guide(details, { scale = 1, selfie = true } = {}) {
  const checks = { face: 'pass', distance: 'unknown', centre: 'unknown', pose: 'unknown', clear: 'unknown' };
  const say = (check, main, more = '', cue = {}) => {
    checks[check] = 'fail';
    return { state: 'fix', main, more, checks, ...cue };
  };
  const rules = new Map(details.rules.map((rule) => [rule.rule, rule]));
  const scaled = (rule) => rule.measured * (rule.unit === 'px' ? scale : 1);
  // A little more than the limit, so that the picture does not miss what the frame just met.
  const broken = (name, spare = 0) => {
    const rule = rules.get(name);
    if (!rule || rule.measured === undefined || rule.action !== 'reject') return false;
    if (rule.unit !== 'px') {
      if (rule.verdict === 'fail') return true;
      return name.startsWith('min_') ? rule.measured < rule.threshold * (1 + spare) : false;
    }
    return name.startsWith('min_') ? scaled(rule) < rule.threshold * (1 + spare) : scaled(rule) > rule.threshold;
  };

  const [main] = details.faces;
  if (!main || broken('min_faces')) return say('face', 'No face to be seen', 'Look into the camera, in good light.');
  if (broken('max_second_face')) return say('face', 'Only one person, please', 'Someone else is in the picture.');

  const { width, height } = details.image;
  const { extent } = main;
  const [x, y] = [(extent.left + extent.width / 2) / width - 0.5, (extent.top + extent.height / 2) / height - 0.5];
  const margins = details.margins;
  const sides = margins ? { left: margins.left < 0, right: margins.right < 0, top: margins.top < 0, bottom: margins.bottom < 0 } : {};
  const cutBothWays = (sides.left && sides.right) || (sides.top && sides.bottom);

  const far = ['min_interpupillary_distance', 'min_face_side', 'min_face_area'].some((name) => broken(name, 0.06));
  const near = broken('min_surrounding', 0.04) || broken('min_opposite_margins') || cutBothWays;
  checks.distance = far || near ? 'fail' : 'pass';
  if (near) return say('distance', 'Move further away', 'Show some room around your face.', { zoom: -1 });
  if (far) return say('distance', 'Come closer', '', { zoom: 1 });

  const aside = broken('max_outside') || broken('min_margin', 0.3);
  checks.centre = aside || Math.hypot(x, y * 0.85) > 0.17 ? 'fail' : 'pass';
  if (checks.centre === 'fail') {
    // What is left in the picture is the person's right.
    const across = Math.abs(x) > 0.06 ? `to your ${x < 0 ? 'left' : 'right'}` : '';
    const along = Math.abs(y) > 0.08 ? (y < 0 ? 'down' : 'up') : '';
    const where = [across, along].filter(Boolean).join(' and ');
    return say('centre', 'Bring your face to the centre', selfie && where ? `A little ${where}.` : '', { move: [-x, -y] });
  }

  const liveness = details.liveness;
  if (liveness && liveness.reliability < 0.25) {
    return say('distance', 'A little further away', 'The liveness check needs to see what is around you.', { zoom: -1 });
  }

  const pose = details.pose;
  if (pose) {
    const limit = (name) => (rules.get(name)?.action === 'off' ? Infinity : (rules.get(name)?.threshold ?? 30));
    checks.pose = 'pass';
    if (Math.abs(pose.yaw) > 0.7 * limit('max_yaw')) {
      const way = pose.yaw > 0 ? 'right' : 'left';
      return say('pose', 'Turn to the camera', `Turn your head a little to your ${way}.`, { turn: [pose.yaw > 0 ? -1 : 1, 0] });
    }
    if (Math.abs(pose.pitch) > 0.8 * limit('max_pitch')) {
      const up = pose.pitch > 0;
      return say('pose', 'Turn to the camera', up ? 'Lower your chin a little.' : 'Raise your chin a little, or hold the camera lower.', { turn: [0, up ? 1 : -1] });
    }
    if (Math.abs(pose.roll) > 25) return say('pose', 'Hold your head upright');
  }

  const cover = rules.get('max_occlusion');
  if (cover?.measured !== undefined) checks.clear = cover.verdict === 'fail' ? 'fail' : 'pass';
  if (broken('max_occlusion')) return say('clear', 'Uncover your face', 'Take off masks and dark glasses, hands away.');
  return { state: 'good', main: 'Good, hold still', more: '', checks };
}

/** The size of face to aim for, in frame pixels. */
function target(details, width, height, scale) {
  const threshold = (name, otherwise) => details?.rules?.find((rule) => rule.rule === name)?.threshold ?? otherwise;
  const room = Math.max(1.5, threshold('min_surrounding', 1.3) * 1.15);
  const least = ((threshold('min_face_side', 150) / scale) * 1.1) / 0.78;
  const tall = Math.min(Math.max(0.48 * height, least), height / room, width / room / 0.78);
  return { x: width / 2, y: height * 0.5, rx: tall * 0.43, ry: tall * 0.57 };
}

let camera = null;

async function openCamera(facing = 'user') {
  if (!navigator.mediaDevices?.getUserMedia) {
    // Without HTTPS the browser gives no live camera, but a phone's own camera app is still there.
    $('camera-note').textContent = 'Browsers give the live camera to pages over HTTPS or on localhost only. On a phone the camera app opens instead.';
    $('snap').click();
    return;
  }
  if (!authorization && !(await signIn())) return;
  closeCamera();
  running?.abort();
  const session = { facing, stream: null, flight: null, control: new AbortController(), good: 0 };
  camera = session;
  stage('camera');
  for (const item of $('checks').children) mark(item, 'unknown');
  tell({ state: 'wait', main: 'Starting the camera…', more: '' });
  $('shoot').disabled = true;
  $('shoot').focus();
  $('camera-note').textContent = '';
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
      if (camera === session) closeCamera('The camera was switched off.');
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
    closeCamera(reasons[error.name] ?? 'The camera did not start.');
  }
}

function closeCamera(note = '') {
  if (!camera) return;
  const session = camera;
  camera = null;
  session.control.abort();
  for (const track of session.stream?.getTracks() ?? []) track.stop();
  $('video').srcObject = null;
  stage(shown ? 'shown' : 'empty');
  layout();
  $('camera-note').textContent = note;
}

/** The video's current picture as a canvas of at most `longest` pixels. */
function grab(longest = Infinity) {
  const video = $('video');
  const scale = Math.min(1, longest / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement('canvas');
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
  return canvas;
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
      signedIn(null);
      tell({ state: 'wait', main: 'Please sign in again', more: '' });
      if (!(await signIn(sentence(envelope?.errorDetail?.message)))) closeCamera();
      return 0;
    }
    if (!envelope?.details) {
      session.good = 0;
      tell({ state: 'wait', main: 'One moment…', more: sentence(envelope?.errorDetail?.message) || 'The service did not answer.' });
      return Math.max(2_000, (retryAfter ?? 0) * 1_000);
    }
    const scale = $('video').videoWidth / canvas.width;
    const advice = guide(envelope.details, { scale, selfie: session.selfie });
    session.last = { details: envelope.details, advice, scale };
    tell(advice);
    for (const item of $('checks').children) mark(item, advice.checks[item.dataset.check]);
    drawGuide(session);
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

function arrow(context, [x, y], [dx, dy], length, px) {
  const norm = Math.hypot(dx, dy) || 1;
  const [ux, uy] = [dx / norm, dy / norm];
  const [ex, ey] = [x + ux * length, y + uy * length];
  const head = 13 * px;
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(ex, ey);
  context.moveTo(ex - head * (ux + uy * 0.75), ey - head * (uy - ux * 0.75));
  context.lineTo(ex, ey);
  context.lineTo(ex - head * (ux - uy * 0.75), ey - head * (uy + ux * 0.75));
  context.lineCap = context.lineJoin = 'round';
  for (const [style, width] of [['rgb(0 0 0 / 60%)', 9], ['#ffd27a', 5]]) {
    context.strokeStyle = style;
    context.lineWidth = width * px;
    context.stroke();
  }
}

/** The oval to fill, the face that the service sees, and where it should go. */
function drawGuide(session) {
  const video = $('video');
  if (!video.videoWidth) return;
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
  context.strokeStyle = { good: '#4ade9b', fix: '#ffd27a' }[advice?.state] ?? '#fff';
  context.lineWidth = 4 * px;
  if (advice?.state !== 'good') context.setLineDash([10 * px, 8 * px]);
  context.stroke();
  context.setLineDash([]);

  const [main] = details?.faces ?? [];
  if (!main || !advice) return;
  const { left, top, width: w, height: h } = main.extent;
  const box = { left: session.selfie ? width - left - w : left, top, width: w, height: h };
  brackets(context, box, advice.state === 'good' ? '#4ade9b' : '#fff', px);
  const centre = [mirror(left + w / 2), top + h / 2];
  if (advice.move) arrow(context, centre, [advice.move[0] * flip * width, advice.move[1] * height], 58 * px, px);
  if (advice.turn) {
    const nose = main.keypoints[2];
    arrow(context, [mirror(nose[0]), nose[1]], [advice.turn[0] * flip, advice.turn[1]], 58 * px, px);
  }
  if (advice.zoom) {
    for (const [dx, dy] of [[-1, -0.8], [1, -0.8], [1, 0.8], [-1, 0.8]]) {
      const inner = [oval.x + dx * oval.rx * 0.8, oval.y + dy * oval.ry];
      const from = advice.zoom > 0 ? inner : [inner[0] + dx * 32 * px, inner[1] + dy * 32 * px];
      arrow(context, from, [dx * advice.zoom, dy * advice.zoom], 34 * px, px);
    }
  }
}

/** Takes the picture in the camera's full size and has it checked. */
async function shoot(session = camera) {
  if (!session || session !== camera || session.shooting || !$('video').videoWidth) return;
  session.shooting = true;
  $('shoot').disabled = true;
  const canvas = grab();
  // Never more than one request at a time: the last frame's answer first.
  await session.flight;
  if (camera !== session) return;
  const blob = await jpeg(canvas, 0.93);
  if (camera !== session) return;
  takeBlob(blob, 'camera.jpg');
  $('open-camera').focus({ preventScroll: true });
}

$('open-camera').addEventListener('click', () => openCamera());
$('shoot').addEventListener('click', () => shoot());
$('flip').addEventListener('click', () => openCamera(camera?.facing === 'user' ? 'environment' : 'user'));
$('close-camera').addEventListener('click', () => {
  closeCamera();
  $('open-camera').focus();
});
$('camera').addEventListener('keydown', (event) => {
  if (event.key !== 'Escape') return;
  closeCamera();
  $('open-camera').focus();
});
$('video').addEventListener('loadedmetadata', () => camera && drawGuide(camera));
$('video').addEventListener('resize', () => camera && drawGuide(camera));

// ---------------------------------------------------------------------------------------------------- Ways in

for (const id of ['file', 'snap']) {
  $(id).addEventListener('change', (event) => {
    const [file] = event.target.files;
    takeBlob(file, file?.name);
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
  takeTransfer(event.dataTransfer);
});
document.addEventListener('paste', (event) => {
  if (event.target.closest?.('input, dialog')) return;
  if (takeTransfer(event.clipboardData)) event.preventDefault();
});

function takeTransfer(transfer) {
  const [file] = transfer?.files ?? [];
  if (file) {
    takeBlob(file, file.name);
    return true;
  }
  const text = (transfer?.getData('text/uri-list') || transfer?.getData('text/plain') || '').trim();
  if (!/^(https?:\/\/|data:image\/)/i.test(text)) return false;
  takeLink(text.split('\n')[0]);
  return true;
}

for (const button of document.querySelectorAll('[data-layer]')) {
  button.addEventListener('click', () => {
    const layer = button.dataset.layer;
    layers[layer] = !layers[layer];
    button.setAttribute('aria-pressed', String(layers[layer]));
    layout();
  });
}

$('retry-button').addEventListener('click', () => {
  if (!shown) return;
  $('result').focus({ preventScroll: true });
  analyse(shown);
});
$('smaller-button').addEventListener('click', async () => {
  const { blob, name } = shown ?? {};
  if (!blob) return;
  try {
    takeBlob(await scaledDown(blob), name);
  } catch {
    renderProblem('The picture cannot be scaled down', 'The browser cannot open it either.');
  }
});

new ResizeObserver(() => {
  layout();
  if (camera) drawGuide(camera);
}).observe(drop);
addEventListener('pagehide', () => closeCamera());

stage('empty');
renderCode();
watchService();
