// The service: requests, and the credentials they carry. Credentials live in this tab's memory only.
import { $, make, pause, sentence } from './dom.js';

export const ENDPOINT = new URL('api/v1/face/detect', new URL('.', location.href)).href;
const READY = new URL('readyz', new URL('.', location.href)).href;
/** Milliseconds. */
const REQUEST_TIMEOUT = 60_000;

/** Made here, since pages without a secure context have no crypto.randomUUID. */
export function sessionId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return `playground-${Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')}`;
}

export function base64(blob) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(',') + 1));
    reader.onerror = () => reject(new Error('The browser could not read this file.'));
    reader.readAsDataURL(blob);
  });
}

/** Sends a request body; throws an error with a message for people when no answer comes. */
export async function post(body, { header = authorization, signal } = {}) {
  const begin = performance.now();
  try {
    const response = await fetch(ENDPOINT, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: header },
      // With the browser's own credentials a 401 would open the browser's login box.
      credentials: 'omit',
      cache: 'no-store',
      redirect: 'error',
      referrerPolicy: 'no-referrer',
      signal: AbortSignal.any([AbortSignal.timeout(REQUEST_TIMEOUT), ...(signal ? [signal] : [])]),
      body,
    });
    const text = await response.text();
    const envelope = envelopeOf(text);
    if (!envelope) lookNow();
    return {
      status: response.status,
      retryAfter: Number.parseInt(response.headers.get('Retry-After') ?? '', 10) || null,
      envelope,
      text,
      millis: performance.now() - begin,
    };
  } catch (error) {
    if (signal?.aborted) throw error;
    lookNow();
    throw new Error(
      error.name === 'TimeoutError'
        ? 'The service did not answer within a minute.'
        : 'The service cannot be reached. Check that it runs and that this device is connected to it.',
    );
  }
}

/** The contract's envelope, or null: a proxy in between may answer with a page of its own. */
function envelopeOf(text) {
  try {
    const envelope = JSON.parse(text);
    return envelope?.hasError === undefined ? null : envelope;
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------------------------------------------- Sign-in

/** The value of the Authorization header. */
let authorization = null;
/** The question that the form is asking: a promise, and what resolves it. */
let asking = null;

function basic(user, password) {
  const bytes = new TextEncoder().encode(`${user}:${password}`);
  return `Basic ${btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(''))}`;
}

function remember(header, user) {
  authorization = header;
  $('account').replaceChildren(
    header ? 'Sign out' : 'Sign in',
    ...(header ? [make('span', 'account-user', ` ${user}`)] : []),
  );
}

export const isSignedIn = () => authorization !== null;
export const signOut = () => remember(null);

/** Asks for credentials; resolves to whether there are any now. */
export function signIn(problem = '') {
  if (!asking) {
    asking = {};
    asking.promise = new Promise((resolve) => (asking.resolve = resolve));
    $('login').showModal();
    $(problem && $('user').value ? 'password' : 'user').focus();
  }
  $('login-error').textContent = problem;
  return asking.promise;
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
      $('login-error').textContent = sentence(
        answer.envelope?.errorDetail?.message ?? 'The service did not accept this.',
      );
      $('password').select();
      return;
    }
    remember(header, user);
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
  asking?.resolve(isSignedIn());
  asking = null;
});
$('account').addEventListener('click', () => (isSignedIn() ? signOut() : signIn()));

// ---------------------------------------------------------------------------------------------------- Ready or not

/** Whether a request has failed since the last look began, and what ends the wait for the next one. */
let overdue = false;
let endWait = () => {};

/** A request just failed, and the service may be gone. A look that is under way may have found it still there. */
function lookNow() {
  overdue = true;
  endWait();
}

/** Shows for as long as the page is open whether the service answers. */
export async function watchService() {
  for (;;) {
    overdue = false;
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
    const asked = new Promise((resolve) => (endWait = resolve));
    if (!overdue) await Promise.race([pause(state === 'ready' ? 30_000 : 2_000), asked]);
    while (document.hidden) await pause(1_000);
  }
}
