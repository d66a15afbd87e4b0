// Drives the playground in a real browser against a real service.
//
//   npm ci --prefix web/test && scripts/with-service npm test --prefix web/test
//
// SHOTS=folder keeps screenshots; CHROMIUM names another browser than /usr/bin/chromium.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { promisify } from 'node:util';
import axe from 'axe-core';
import { FAULTS, STATUSES, WORDS } from '../playground/words.js';
import { launch } from './browser.mjs';

const run = promisify(execFile);
const { FACEGATE_URL, FACEGATE_USER, FACEGATE_PASSWORD, FACEGATE_PICTURE, FACEGATE_GROUP_PICTURE, SHOTS } = process.env;
for (const [name, value] of Object.entries({
  FACEGATE_URL,
  FACEGATE_USER,
  FACEGATE_PASSWORD,
  FACEGATE_PICTURE,
  FACEGATE_GROUP_PICTURE,
})) {
  assert.ok(value, `set ${name}`);
}
const url = new URL('/', FACEGATE_URL).href;
const endpoint = new URL('/api/v1/face/detect', url).href;

let browser;
/** All that were started: one that a failing test leaves open would keep this program from its end. */
const browsers = [];
let folder;
const portrait = await readFile(FACEGATE_PICTURE);
const group = await readFile(FACEGATE_GROUP_PICTURE);

/** Calls the service without the page. */
async function detect(picture) {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'Content-Type': 'application/json',
      Authorization: `Basic ${Buffer.from(`${FACEGATE_USER}:${FACEGATE_PASSWORD}`).toString('base64')}`,
    },
    body: JSON.stringify({
      sessionId: 'playground-test',
      faceImageBase: picture.toString('base64'),
      returnDetails: true,
    }),
  });
  return response.json();
}

async function start(flags) {
  const started = await launch(flags);
  browsers.push(started);
  return started;
}

/** Waits until a check answers true; the machine may be slow. */
async function until(check, what) {
  const deadline = Date.now() + 20_000;
  while (!(await check())) {
    assert.ok(Date.now() < deadline, what);
    await pause(50);
  }
}

/**
 * Counts a page's requests to the service from within it, where no message is late: when each began, and how many were
 * under way at most, each until its whole answer was read.
 */
function countFlights(endpoint) {
  const plain = window.fetch.bind(window);
  const flights = { begins: [], now: 0, most: 0 };
  window.flights = flights;
  window.fetch = async (target, options) => {
    if (target !== endpoint) return plain(target, options);
    flights.begins.push(performance.now());
    flights.now += 1;
    flights.most = Math.max(flights.most, flights.now);
    try {
      const response = await plain(target, options);
      await response.clone().text();
      return response;
    } finally {
      flights.now -= 1;
    }
  };
}

/** A page that records what must never happen: outside requests, policy violations, errors of the page's own. */
async function open(from = browser, options = {}, base = url) {
  const context = await from.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  await context.addInitScript(countFlights, endpoint);
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems = [];
  const requests = { sent: 0 };
  page.on('request', (request) => {
    const target = request.url();
    if (!target.startsWith(base) && !/^(blob|data):/.test(target)) problems.push(`outside request ${target}`);
    if (target === endpoint) requests.sent += 1;
  });
  page.on('pageerror', (error) => problems.push(`exception ${error.stack}`));
  page.on('console', (message) => {
    // The browser itself reports every answer of 400 and above, and these tests reading the canvas.
    const expected = /Failed to load resource|willReadFrequently/.test(message.text());
    if (['error', 'warning'].includes(message.type()) && !expected) problems.push(message.text());
  });
  await page.goto(base);
  await page.waitForSelector('#service[data-state="ready"]');
  const close = async () => {
    await context.close();
    assert.deepEqual(problems, []);
  };
  return { page, requests, problems, close };
}

async function signIn(page, user = FACEGATE_USER, password = FACEGATE_PASSWORD) {
  await page.fill('#user', user);
  await page.fill('#password', password);
  await page.press('#password', 'Enter');
}

async function openSignedIn(from, options) {
  const opened = await open(from, options);
  await opened.page.click('#account');
  await signIn(opened.page);
  await opened.page.waitForSelector('#login', { state: 'hidden' });
  return opened;
}

async function check(page, buffer, name = 'portrait.jpg') {
  await page.setInputFiles('#file', { name, mimeType: 'application/octet-stream', buffer });
  await answered(page);
}

async function answered(page) {
  await page.waitForSelector('#verdict:not([hidden])');
  await page.waitForSelector('#result[aria-busy="false"]');
}

async function shot(page, name, options = { fullPage: true }) {
  if (!SHOTS) return;
  await page.waitForTimeout(700);
  await page.screenshot({ path: join(SHOTS, `${name}.png`), ...options });
}

/** The picture redrawn by the browser: `draw` is the body of a function of the image, the context and the canvas. */
async function redrawn(buffer, draw) {
  const page = await browser.newPage();
  const data = await page.evaluate(
    async ([source, body]) => {
      const image = new Image();
      image.src = source;
      await image.decode();
      const canvas = document.createElement('canvas');
      new Function('image', 'context', 'canvas', body)(image, canvas.getContext('2d'), canvas);
      return canvas.toDataURL('image/jpeg', 0.92);
    },
    [`data:image/png;base64,${buffer.toString('base64')}`, draw],
  );
  await page.close();
  return Buffer.from(data.split(',')[1], 'base64');
}

/** Puts an EXIF orientation into a JPEG. */
function withOrientation(jpeg, orientation) {
  const tiff = Buffer.from([
    0x4d,
    0x4d,
    0,
    42,
    0,
    0,
    0,
    8,
    0,
    1,
    0x01,
    0x12,
    0,
    3,
    0,
    0,
    0,
    1,
    0,
    orientation,
    0,
    0,
    0,
    0,
    0,
    0,
  ]);
  const body = Buffer.concat([Buffer.from('Exif\0\0', 'latin1'), tiff]);
  const head = Buffer.from([0xff, 0xe1, 0, body.length + 2]);
  return Buffer.concat([jpeg.subarray(0, 2), head, body, jpeg.subarray(2)]);
}

/** Checks the page as it stands against the rules of WCAG 2.2 AA and axe's own advice. */
async function accessible(page) {
  // In the middle of a change of colours the contrast is that of neither.
  await page.waitForFunction(() =>
    document
      .getAnimations()
      .every(({ playState, effect }) => playState !== 'running' || effect.getComputedTiming().endTime === Infinity),
  );
  if (!(await page.evaluate('typeof axe === "object"'))) await page.evaluate(axe.source);
  const { violations, passes } = await page.evaluate('axe.run()');
  assert.deepEqual(
    violations.map(({ id, help, nodes }) => [id, help, ...nodes.map((node) => node.html)]),
    [],
  );
  // Contrast was really computed: texts over pictures or gradients would be left undecided.
  assert.ok(passes.some(({ id, nodes }) => id === 'color-contrast' && nodes.length > 3));
}

/** How many pixels of the overlay around a point of the picture are painted. */
function painted(page, x, y, size) {
  return page.evaluate(
    ([x, y, [width, height]]) => {
      const canvas = document.getElementById('overlay');
      const [cx, cy] = [(x / width) * canvas.width, (y / height) * canvas.height];
      const { data } = canvas.getContext('2d').getImageData(cx - 4, cy - 4, 9, 9);
      return data.filter((value, index) => index % 4 === 3 && value > 40).length;
    },
    [x, y, size],
  );
}

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'playground-'));
  browser = await start();
});
after(async () => {
  await Promise.all(browsers.map((each) => each.close()));
  await rm(folder, { recursive: true, force: true });
});

describe('sign-in', () => {
  test('asks when it is needed, says what is wrong, goes on by itself and keeps nothing', async () => {
    const { page, close } = await open();
    const devtools = await page.context().newCDPSession(page);
    let boxes = 0;
    await devtools.send('Fetch.enable', { handleAuthRequests: true, patterns: [{ urlPattern: '*' }] });
    devtools.on('Fetch.requestPaused', ({ requestId }) =>
      devtools.send('Fetch.continueRequest', { requestId }).catch(() => {}),
    );
    devtools.on('Fetch.authRequired', ({ requestId }) => {
      boxes += 1;
      devtools
        .send('Fetch.continueWithAuth', { requestId, authChallengeResponse: { response: 'CancelAuth' } })
        .catch(() => {});
    });
    await shot(page, 'empty');
    await page.setInputFiles('#file', FACEGATE_PICTURE);
    await page.waitForSelector('#login[open]');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'user');
    await shot(page, 'sign-in', {});
    await signIn(page, 'somebody', 'wrong');
    await page.waitForFunction(() => /wrong/.test(document.getElementById('login-error').textContent));
    await signIn(page);
    await answered(page);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    assert.equal(boxes, 0, "the browser's own login box");
    assert.equal(await page.inputValue('#password'), '');
    const kept = await page.evaluate(async () => [
      localStorage.length,
      sessionStorage.length,
      document.cookie,
      (await indexedDB.databases()).length,
    ]);
    assert.deepEqual(kept, [0, 0, '', 0]);
    // A request with the browser's credentials would have opened the box: the check above can fail.
    await page.evaluate(() => fetch('/api/v1/face/detect', { method: 'POST', credentials: 'include' }));
    assert.equal(boxes, 1);
    await page.reload();
    assert.equal(await page.textContent('#account'), 'Sign in');
    await devtools.detach();
    await close();
  });

  test('can be cancelled with the keyboard, and tried again', async () => {
    const { page, requests, close } = await open();
    await page.setInputFiles('#file', FACEGATE_PICTURE);
    await page.waitForSelector('#login[open]');
    await page.keyboard.press('Escape');
    await page.waitForSelector('#verdict[data-state="fault"]');
    assert.equal(requests.sent, 0);
    await page.click('#retry-button');
    await signIn(page);
    await page.waitForSelector('#verdict[data-state="good"]');
    await close();
  });
});

describe('an accepted picture', () => {
  test('shows the face, its attributes, liveness and every rule', async () => {
    const expected = await detect(portrait);
    const { page, close } = await openSignedIn();
    await check(page, portrait);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    assert.equal(await page.textContent('#age'), String(expected.face.age));
    assert.equal(await page.textContent('#gender'), expected.face.gender < 0 ? 'Male' : 'Female');
    assert.match(await page.textContent('#gender-certainty'), /^\d+ % certain$/);
    assert.equal(await page.textContent('#gauge-score'), expected.face.passiveLivenessScore.toFixed(2));
    assert.match(await page.getAttribute('#gauge', 'aria-valuetext'), /threshold 0\.5/);
    assert.match(await page.textContent('#live-reliability'), /reliability/);
    assert.equal(await page.locator('.rule').count(), expected.details.rules.length);
    for (const rule of expected.details.rules.filter((rule) => rule.verdict === 'pass')) {
      assert.equal(await page.getAttribute(`.rule[data-rule="${rule.rule}"]`, 'data-state'), 'pass', rule.rule);
    }
    assert.match(await page.textContent('.rule[data-rule="min_face_side"]'), /Shorter side \d+ px.*at least 150 px/);
    // The browser decodes both in its own time, and draws anew when it shows the picture.
    await page.waitForFunction(() =>
      ['crop', 'image'].every((id) => document.getElementById(id).complete && document.getElementById(id).naturalWidth),
    );
    const { rectangle } = expected.face;
    const size = [expected.details.image.width, expected.details.image.height];
    assert.ok(await painted(page, rectangle.left, rectangle.top, size), 'box');
    assert.ok(await painted(page, rectangle.right, rectangle.bottom, size), 'box');
    for (const point of expected.details.faces[0].keypoints)
      assert.ok((await painted(page, ...point, size)) > 60, 'key point');
    const landmark = expected.details.landmarks[10];
    assert.ok(await painted(page, landmark[0], landmark[1], size), 'landmark');
    for (const layer of ['box', 'keypoints', 'landmarks']) await page.click(`[data-layer="${layer}"]`);
    assert.equal(await painted(page, rectangle.left, rectangle.top, size), 0);
    assert.equal(await painted(page, landmark[0], landmark[1], size), 0);
    for (const layer of ['box', 'keypoints', 'landmarks']) await page.click(`[data-layer="${layer}"]`);
    await page.click('[data-layer="zoom"]');
    const zoomed = await page.evaluate(() =>
      [document.getElementById('image'), document.getElementById('frame')].map((e) => e.getBoundingClientRect().width),
    );
    assert.ok(zoomed[0] > 1.1 * zoomed[1]);
    await shot(page, 'zoomed', {});
    await page.click('[data-layer="zoom"]');
    assert.match(await page.textContent('#announce'), /Usable.*Age \d+.*Liveness/);
    await shot(page, 'accepted');
    await close();
  });

  test('shows warnings, capture quality and a face that does not look alive', async () => {
    const { page, close } = await openSignedIn();
    // A real answer, changed to what this picture does not have.
    await page.route('**/api/v1/face/detect', async (route) => {
      const response = await route.fetch();
      const json = await response.json();
      json.face.passiveLivenessScore = 0.12;
      json.details.liveness.reliability = 0.89;
      json.details.quality = { sharpness: { raw: 0.4, value: 83 }, inter_eye_distance: { raw: 86, value: 61 } };
      const rule = json.details.rules.find((rule) => rule.rule === 'max_pitch');
      Object.assign(rule, { measured: 41, action: 'warn', verdict: 'fail' });
      await route.fulfill({ response, json });
    });
    await check(page, portrait);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'caution');
    assert.match(await page.textContent('#verdict-more'), /with 1 warning/);
    assert.equal(await page.textContent('#live-verdict'), 'Looks like a print, a screen or a mask');
    assert.match(await page.textContent('#live-reliability'), /^Low reliability: .*Step back/);
    assert.equal(await page.getAttribute('#gauge', 'data-state'), 'bad');
    assert.equal(await page.textContent('.rule[data-rule="max_pitch"] .badge'), 'Warning');
    assert.match(await page.textContent('#quality-list'), /Sharpness83.*Inter eye distance61/);
    await shot(page, 'warning');
    await close();
  });

  test('without colour is usable, and nothing is said of who is alive', async () => {
    const grey = await redrawn(
      portrait,
      'canvas.width = image.width; canvas.height = image.height; context.filter = "grayscale(1)"; context.drawImage(image, 0, 0);',
    );
    const { page, close } = await openSignedIn();
    await check(page, grey, 'grey.jpg');
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'caution');
    assert.match(await page.textContent('#verdict'), /Usable, but with too little colour.*Liveness cannot be judged/s);
    assert.equal(await page.textContent('#live-verdict'), 'Cannot be judged: too little colour');
    assert.match(await page.textContent('#live-reliability'), /^Not reliable: .*black-and-white, or too dark/);
    assert.equal(await page.getAttribute('#gauge', 'data-state'), 'unknown');
    // With the rule off the service does not warn, and its score says as little.
    const unwarned = await page.evaluate(async () => {
      const { livenessWords } = await import('/playground/words.js');
      return livenessWords({ liveness: { score: 0.9, reliability: 0, surrounding: 3 }, warnings: [] });
    });
    assert.match(unwarned, /^Not reliable: /);
    await shot(page, 'grey', {});
    await close();
  });

  test('is drawn upright when EXIF turns it', async () => {
    const turned = withOrientation(
      await redrawn(
        portrait,
        `canvas.width = image.height; canvas.height = image.width;
        context.translate(0, canvas.height); context.rotate(-Math.PI / 2); context.drawImage(image, 0, 0);`,
      ),
      6,
    );
    const [straight, expected] = [await detect(portrait), await detect(turned)];
    assert.equal(expected.details.image.exifOrientation, 6);
    assert.ok(Math.abs(expected.face.rectangle.left - straight.face.rectangle.left) < 8);
    const { page, close } = await openSignedIn();
    await check(page, turned);
    const size = [expected.details.image.width, expected.details.image.height];
    const frame = await page.locator('#frame').boundingBox();
    assert.ok(Math.abs(frame.width / frame.height - size[0] / size[1]) < 0.02);
    await page.waitForFunction(() => document.getElementById('image').naturalWidth > 0);
    const shownSize = await page.evaluate(() => [
      document.getElementById('image').naturalWidth,
      document.getElementById('image').naturalHeight,
    ]);
    assert.deepEqual(shownSize, size);
    assert.ok(await painted(page, expected.face.rectangle.left, expected.face.rectangle.top, size));
    assert.match(await page.textContent('#facts'), /Orientation 6/);
    await shot(page, 'exif');
    await close();
  });

  test('comes by paste, by drop and as a data URI', async () => {
    const { page, close } = await openSignedIn();
    for (const type of ['paste', 'drop']) {
      await page.evaluate(
        ([type, data]) => {
          const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
          const transfer = new DataTransfer();
          transfer.items.add(new File([bytes], `${type}.jpg`, { type: 'image/jpeg' }));
          const init = { bubbles: true, cancelable: true };
          document.body.dispatchEvent(
            type === 'paste'
              ? new ClipboardEvent(type, { ...init, clipboardData: transfer })
              : new DragEvent(type, { ...init, dataTransfer: transfer }),
          );
        },
        [type, portrait.toString('base64')],
      );
      await page.waitForFunction((name) => document.getElementById('image').alt.endsWith(name), `${type}.jpg`);
      await answered(page);
      assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good', type);
    }
    await page.evaluate(() => {
      const transfer = new DataTransfer();
      for (const name of ['one.txt', 'two.txt']) transfer.items.add(new File(['no picture'], name));
      document.body.dispatchEvent(new DragEvent('drop', { bubbles: true, cancelable: true, dataTransfer: transfer }));
    });
    assert.equal(await page.textContent('#source-note'), 'One picture at a time: only one.txt was taken.');
    await page.waitForSelector('#verdict[data-state="fault"]');
    await page.fill('#link', `data:image/jpeg;base64,${portrait.toString('base64')}`);
    await page.press('#link', 'Enter');
    await page.waitForFunction(() => document.getElementById('image').alt === 'The picture that was checked');
    await answered(page);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    await close();
  });
});

describe('a picture that cannot be used', () => {
  test('is explained with the words of the API guide', async () => {
    const guide = await readFile(new URL('../../docs/api.md', import.meta.url), 'utf8');
    assert.equal(Object.keys(WORDS).length, 8);
    for (const [word, [, tell]] of Object.entries(WORDS)) assert.ok(guide.includes(`| \`${word}\` | "${tell}"`), word);
    for (const [, tell] of [STATUSES[413], STATUSES[422], FAULTS.image_malformed])
      assert.ok(guide.includes(`| "${tell}"`));
  });

  test('says why, what to tell the person, and which rules are broken', async () => {
    const { page, close } = await openSignedIn();
    await check(page, group, 'group.jpg');
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'bad');
    assert.equal(await page.textContent('#verdict-title'), 'More than one face');
    assert.match(await page.textContent('#verdict-word'), /^TOO_MANY_FACES · second_face$/);
    assert.match(await page.textContent('#advice-text'), /only you/);
    assert.match(await page.textContent('#developer'), /must be less than 0\.35/);
    assert.equal(await page.getAttribute('.rule[data-rule="max_second_face"]', 'data-state'), 'fail');
    assert.ok(await page.isVisible('#anyway'));
    await shot(page, 'rejected');
    const empty = await redrawn(
      portrait,
      'canvas.width = 640; canvas.height = 480; context.fillStyle = "#89a"; context.fillRect(0, 0, 640, 480);',
    );
    await check(page, empty);
    await page.waitForFunction(() => document.getElementById('verdict-title').textContent === 'No face was found');
    assert.ok(await page.isHidden('#person'));
    assert.ok(await page.isHidden('#live'));
    await shot(page, 'no-face');
    await close();
  });

  test('a file that is no picture, an empty one and one that is too large', async () => {
    const { page, close } = await openSignedIn();
    await check(page, Buffer.from('this is no picture'), 'letter.txt');
    assert.equal(await page.textContent('#verdict-title'), 'The picture cannot be read');
    assert.match(await page.textContent('#verdict-word'), /HTTP 422 · INTERNAL_ERROR · /);
    assert.ok((await page.textContent('#verdict-more')).length > 10);
    await page.setInputFiles('#file', { name: 'empty.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(0) });
    await page.waitForFunction(() => document.getElementById('verdict-title').textContent === 'This file is empty');
    // A body just over the default limit of 16 MiB.
    await check(page, Buffer.concat([portrait, Buffer.alloc((12 << 20) + 64 - portrait.length)]), 'large.jpg');
    await page.waitForFunction(
      () => document.getElementById('verdict-title').textContent === 'The picture is too large',
    );
    assert.match(await page.textContent('#verdict-word'), /HTTP 413/);
    await shot(page, 'too-large');
    await page.click('#smaller-button');
    await page.waitForSelector('#verdict[data-state="good"]');
    await close();
  });

  test('nothing that is not a picture keeps the verdict of the one before', async () => {
    const { page, close } = await openSignedIn();
    await check(page, portrait);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    await page.setInputFiles('#file', { name: 'empty.jpg', mimeType: 'image/jpeg', buffer: Buffer.alloc(0) });
    await page.waitForSelector('#verdict[data-state="fault"]');
    assert.equal(await page.textContent('#verdict-title'), 'This file is empty');
    for (const id of ['measures', 'rules-card', 'layers', 'shown', 'keep-row', 'retry']) {
      assert.ok(await page.isHidden(`#${id}`), id);
    }
    await shot(page, 'empty-file', {});
    await check(page, Buffer.from('this is no picture'), 'letter.txt');
    await page.waitForFunction(() => document.getElementById('verdict-word').textContent.includes('HTTP 422'));
    assert.equal(await page.textContent('#unseen'), 'The browser does not show this file.');
    await close();
  });

  test('one with too many pixels is too large and not unreadable, one that is cut off is to be sent again', async () => {
    const large = await redrawn(
      portrait,
      'canvas.width = 6000; canvas.height = 4500; context.drawImage(image, 0, 0, 4500, 4500);',
    );
    const { page, close } = await openSignedIn();
    await check(page, large, 'large.jpg');
    assert.match(await page.textContent('#verdict-word'), /HTTP 422 · INTERNAL_ERROR · image_too_many_pixels/);
    assert.equal(await page.textContent('#verdict-title'), 'The picture is too large');
    assert.match(await page.textContent('#advice-text'), /too large.*smaller.*lower resolution/);
    await shot(page, 'too-many-pixels', {});
    await page.click('#smaller-button');
    await page.waitForSelector('#verdict[data-state="good"]');
    await check(page, portrait.subarray(0, portrait.length / 2), 'half.jpg');
    await page.waitForFunction(() => document.getElementById('verdict-word').textContent.includes('image_malformed'));
    assert.equal(await page.textContent('#verdict-title'), 'The picture is damaged or incomplete');
    assert.match(await page.textContent('#advice-text'), /send it again/);
    assert.ok(await page.isHidden('#smaller-button'));
    await shot(page, 'damaged', {});
    await close();
  });
});

describe('a link', () => {
  test('is judged by the service: one to this machine is refused, nonsense is not sent', async () => {
    const server = createServer((_, response) => response.end(portrait))
      .listen(0, '127.0.0.1')
      .unref();
    const { page, requests, close } = await openSignedIn();
    const { sent } = requests;
    await page.fill('#link', 'portrait.jpg');
    await page.press('#link', 'Enter');
    assert.match(await page.textContent('#link-error'), /whole link/);
    assert.equal(await page.getAttribute('#link', 'aria-invalid'), 'true');
    assert.equal(requests.sent, sent);
    await page.fill('#link', `http://127.0.0.1:${server.address().port}/portrait.jpg`);
    await page.press('#link', 'Enter');
    await answered(page);
    assert.equal(await page.textContent('#verdict-title'), 'The link was not fetched');
    assert.match(await page.textContent('#verdict-word'), /HTTP 422 · INTERNAL_ERROR · link_/);
    server.close();
    await close();
  });

  test('shows the cut-out face where the browser cannot show the picture', async () => {
    const { page, close } = await openSignedIn();
    // The answer is a real one, for the same picture sent whole: no public picture host is needed.
    await page.route('**/api/v1/face/detect', (route) => {
      const body = { ...route.request().postDataJSON(), faceImageBase: portrait.toString('base64') };
      return route.continue({ postData: JSON.stringify(body) });
    });
    await page.fill('#link', 'https://example.org/portrait.jpg');
    await page.press('#link', 'Enter');
    await answered(page);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    assert.match(await page.textContent('#unseen'), /only what the service returned/);
    const { face, details } = await detect(portrait);
    const { left, top, width, height } = face.rectangle;
    const size = [details.image.width, details.image.height];
    await until(async () => (await painted(page, left + width / 3, top + height / 4, size)) > 60, 'the crop');
    await page.click('[data-tab="curl"]');
    assert.match(await page.textContent('#code'), /"faceImageBase": "https:\/\/example\.org\/portrait\.jpg"/);
    await shot(page, 'link');
    await close();
  });
});

describe('answers that a healthy service does not give', () => {
  const answers = [
    [
      415,
      { code: 'content_type_unsupported', message: 'send JSON' },
      'The service did not accept this type of request',
    ],
    [429, { code: 'rate_limited', message: 'slow down' }, 'Too many requests'],
    [503, { code: 'overloaded', message: 'too many requests are waiting' }, 'The service is busy'],
    [503, { code: 'not_ready', message: 'the networks are still being loaded' }, 'The service is still starting'],
    [
      500,
      { code: 'inference_failed', message: 'the service failed on this picture' },
      'The service failed on this picture',
    ],
    [502, null, 'Unexpected answer (HTTP 502)'],
    [200, { code: 'new', message: 'a word of tomorrow' }, 'The service answered with HTTP 200'],
  ];
  test('are put into plain words', async () => {
    const { page, close } = await openSignedIn();
    for (const [status, errorDetail, title] of answers) {
      await page.unroute('**/api/v1/face/detect');
      await page.route('**/api/v1/face/detect', (route) =>
        route.fulfill({
          status,
          headers: status === 429 || status === 503 ? { 'Retry-After': '5' } : {},
          contentType: errorDetail ? 'application/json' : 'text/html',
          body: errorDetail
            ? JSON.stringify({ sessionId: 's', hasError: true, error: 'INTERNAL_ERROR', errorDetail })
            : '<h1>Bad gateway</h1>',
        }),
      );
      await page.setInputFiles('#file', FACEGATE_PICTURE);
      await page.waitForFunction((title) => document.getElementById('verdict-title').textContent === title, title);
      if (errorDetail)
        assert.match(
          (await page.textContent('#verdict-more')).toLowerCase(),
          new RegExp(errorDetail.message.toLowerCase()),
        );
      if (status === 429) {
        assert.ok(await page.isDisabled('#retry-button'));
        assert.match(await page.textContent('#retry-button'), /in \d s/);
        await page.waitForSelector('#retry-button:not([disabled])');
        await shot(page, 'busy');
      }
    }
    await page.unroute('**/api/v1/face/detect');
    await page.route('**/api/v1/face/detect', (route) => route.abort());
    await page.setInputFiles('#file', FACEGATE_PICTURE);
    await page.waitForFunction(() => document.getElementById('verdict-title').textContent === 'No answer');
    assert.equal(await page.getAttribute('#service', 'data-state'), 'ready', 'it hung up, and is still there');
    // Sooner than the page looks by itself, after 30 s. What a look finds that began before the last failure may be old.
    let looks = 0;
    let release;
    const held = new Promise((resolve) => (release = resolve));
    await page.route('**/readyz', async (route) => {
      looks += 1;
      if (looks > 1) return route.abort();
      await held;
      return route.fulfill({ body: 'ready' });
    });
    for (const failure of ['the first', 'the second']) {
      await page.click('#retry-button');
      await page.waitForSelector('#result[aria-busy="false"]');
      await until(() => looks === 1, `no look after ${failure} failure`);
    }
    release();
    await page.waitForSelector('#service[data-state="down"]', { timeout: 15_000 });
    await shot(page, 'service-gone', {});
    await page.unroute('**/readyz');
    await page.waitForSelector('#service[data-state="ready"]');
    await page.unroute('**/api/v1/face/detect');
    await page.click('#retry-button');
    await page.waitForSelector('#verdict[data-state="good"]');
    await close();
  });

  test('credentials that the service accepts no more are asked for again', async () => {
    const { page, close } = await openSignedIn();
    let refused = false;
    await page.route('**/api/v1/face/detect', (route) => {
      if (refused) return route.continue();
      refused = true;
      const envelope = {
        hasError: true,
        error: 'INTERNAL_ERROR',
        errorDetail: { code: 'credentials_wrong', message: 'the password was changed' },
      };
      return route.fulfill({ status: 401, json: envelope });
    });
    await page.setInputFiles('#file', FACEGATE_PICTURE);
    await page.waitForSelector('#login[open]');
    assert.equal(await page.textContent('#login-error'), 'The password was changed.');
    await signIn(page);
    await page.waitForSelector('#verdict[data-state="good"]');
    await close();
  });
});

describe('the call as code', () => {
  test('request and response are shortened to look at and copied whole', async () => {
    const { page, close } = await openSignedIn(browser, { permissions: ['clipboard-read', 'clipboard-write'] });
    await check(page, portrait);
    const text = await page.textContent('#code');
    assert.match(text, /"passiveLivenessScore": 0\.\d+/);
    assert.match(text, /… \([\d,]+ characters\)/);
    assert.match(text, /… 476 more/);
    assert.ok(text.length < 12_000);
    await page.click('#copy');
    await page.waitForFunction(() => document.getElementById('copy-text').textContent === 'Copied');
    const whole = JSON.parse(await page.evaluate(() => navigator.clipboard.readText()));
    assert.equal(whole.details.landmarks.length, 478);
    await page.focus('#tab-response');
    await page.keyboard.press('ArrowLeft');
    assert.equal(await page.getAttribute('#tab-request', 'aria-selected'), 'true');
    assert.equal(await page.evaluate(() => document.activeElement.id), 'tab-request');
    assert.match(await page.textContent('#code'), /"returnDetails": true/);
    await close();
  });

  test('curl, Python and JavaScript run as they stand', async () => {
    const { page, close } = await openSignedIn();
    await check(page, portrait, 'portrait.jpg');
    await writeFile(join(folder, 'portrait.jpg'), portrait);
    const program = async (name) => {
      await page.click(`[data-tab="${name}"]`);
      const code = await page.textContent('#code');
      assert.match(code, /USER:PASSWORD/);
      return code.replace('USER:PASSWORD', `${FACEGATE_USER}:${FACEGATE_PASSWORD}`);
    };
    const options = { cwd: folder };
    const curl = await run('bash', ['-c', await program('curl')], options);
    const { age } = JSON.parse(curl.stdout).face;
    await writeFile(join(folder, 'example.mjs'), await program('javascript'));
    assert.equal((await run(process.execPath, ['example.mjs'], options)).stdout.trim(), `age ${age}`);
    await writeFile(join(folder, 'example.py'), await program('python'));
    assert.equal((await run('python3', ['example.py'], options)).stdout.trim(), `age ${age}`);
    await close();
  });
});

describe('the camera', () => {
  /**
   * A browser whose camera shows a picture's uppermost face with `side` pixels, its middle at `x`, `y` of 640 by 480;
   * nothing is seen further from that middle than `reach` times the face's size. `filter` is CSS's.
   */
  async function withCamera(side, { x = 320, y = 240, picture = portrait, reach = Infinity, filter = 'none' } = {}) {
    const faces = (await detect(picture)).details.faces.map(({ extent }) => extent);
    const { left, top, width, height: tall } = faces.reduce((a, b) => (b.top < a.top ? b : a));
    const scale = side / Math.min(width, tall);
    const seen = Math.min(2000, reach * side);
    const frame = await redrawn(
      picture,
      // A flat wall round a small part of a picture would be cut off as its frame: there it is lit from a side.
      `canvas.width = 640; canvas.height = 480; context.filter = "${filter}"; const wall = context.createLinearGradient(0, 0, 640, 480);
      wall.addColorStop(0, "${reach < Infinity ? '#555' : '#777'}"); wall.addColorStop(1, "${reach < Infinity ? '#aaa' : '#777'}");
      context.fillStyle = wall; context.fillRect(0, 0, 640, 480);
      context.rect(${x} - ${seen}, ${y} - ${seen}, 2 * ${seen}, 2 * ${seen}); context.clip();
      context.drawImage(image, ${x - (left + width / 2) * scale}, ${y - (top + tall / 2) * scale}, image.width * ${scale}, image.height * ${scale});`,
    );
    const file = join(await mkdtemp(join(folder, 'camera-')), 'video.mjpeg');
    await writeFile(file, Buffer.concat([frame, frame, frame]));
    return start([
      '--use-fake-ui-for-media-stream',
      '--use-fake-device-for-media-stream',
      `--use-file-for-fake-video-capture=${file}`,
    ]);
  }

  async function hinted(page, hint) {
    await page.waitForFunction((hint) => document.getElementById('hint-main').textContent === hint, hint);
  }

  for (const [name, side, hint, place = {}] of [
    ['too far', 90, 'Come closer'],
    ['too close', 365, 'Move further away'],
    ['aside', 175, 'Bring your face to the centre', { x: 130, y: 250 }],
    // The uppermost face of the group is turned by 48 degrees.
    ['turned', 170, 'Turn to the camera', { picture: group, reach: 0.8 }],
  ]) {
    test(`tells a person who is ${name} what to change`, async () => {
      const own = await withCamera(side, place);
      const { page, close } = await openSignedIn(own);
      await page.click('#open-camera');
      await hinted(page, hint);
      assert.equal(await page.getAttribute('#hint', 'data-state'), 'fix');
      // The person is in the left half of the picture: their own right.
      if (name === 'aside') assert.match(await page.textContent('#hint-more'), /to your left/);
      await shot(page, `camera-${name.replace(' ', '-')}`, {});
      await page.keyboard.press('Escape');
      await page.waitForSelector('#camera', { state: 'hidden' });
      assert.equal(await page.evaluate(() => document.getElementById('video').srcObject), null);
      await close();
      await own.close();
    });
  }

  test('says when all fits, never has two requests under way, and takes the picture', async () => {
    const own = await withCamera(175);
    const { page, requests, close } = await openSignedIn(own);
    await page.click('#open-camera');
    await hinted(page, 'Good, hold still');
    const begun = await page.evaluate(() => flights.begins.length);
    await page.waitForFunction((count) => flights.begins.length >= count, begun + 7, { timeout: 30_000 });
    const begins = await page.evaluate((begun) => flights.begins.slice(begun), begun);
    const gaps = begins.slice(1).map((begin, index) => begin - begins[index]);
    // The one in the middle: where encoding a frame is held up, the gap after it is shorter.
    assert.ok(gaps.toSorted((a, b) => a - b)[gaps.length >> 1] >= 450, `milliseconds between requests: ${gaps}`);
    for (const check of ['face', 'distance', 'centre', 'pose']) {
      assert.equal(await page.getAttribute(`[data-check="${check}"]`, 'data-state'), 'pass', check);
    }
    await shot(page, 'camera-good', {});
    await page.click('#shoot');
    await answered(page);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    const after = requests.sent;
    await page.waitForTimeout(1_500);
    assert.equal(requests.sent, after, 'the preview goes on after the shot');
    await page.click('#open-camera');
    await page.check('#auto');
    await page.waitForSelector('#camera', { state: 'hidden' });
    await page.waitForSelector('#verdict[data-state="good"]');
    assert.equal(await page.evaluate(() => flights.most), 1);
    await close();
    await own.close();
  });

  for (const [name, filter] of [
    ['the dark', 'brightness(0.2)'],
    ['black and white', 'grayscale(1)'],
  ]) {
    test(`does not call ${name} good, and takes no picture of it by itself`, async () => {
      const own = await withCamera(175, { filter });
      const { page, requests, close } = await openSignedIn(own);
      await page.click('#open-camera');
      await page.check('#auto');
      await hinted(page, 'More light, please');
      assert.equal(await page.getAttribute('[data-check="light"]', 'data-state'), 'fail');
      await shot(page, `camera-${name.replaceAll(' ', '-')}`, {});
      // Three good answers in a row would be enough: when the fifth request begins there were four.
      const { sent } = requests;
      await until(() => requests.sent >= sent + 5, 'the preview ended');
      assert.ok(await page.isVisible('#camera'), 'the picture was taken');
      await close();
      await own.close();
    });
  }

  test('on a phone', async () => {
    const own = await withCamera(175);
    const { page, close } = await openSignedIn(own, {
      viewport: { width: 390, height: 844 },
      deviceScaleFactor: 2,
      hasTouch: true,
      isMobile: true,
    });
    await page.tap('#open-camera');
    await hinted(page, 'Good, hold still');
    await page.locator('#picture-title').scrollIntoViewIfNeeded();
    await shot(page, 'camera-phone', {});
    await accessible(page);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    await close();
    await own.close();
  });

  test('the guide names the first thing to change', async () => {
    const { details } = await detect(portrait);
    const { page, close } = await open();
    const told = await page.evaluate(async (details) => {
      const { guide } = await import('/playground/guide.js');
      const { width, height } = details.image;
      const [main] = details.faces;
      // The face in the middle, so that only what a case changes is wrong.
      main.extent.left = (width - main.extent.width) / 2;
      main.extent.top = (height - main.extent.height) / 2;
      const changed = (change) => {
        const copy = structuredClone(details);
        change(copy, (name) => copy.rules.find((rule) => rule.rule === name));
        return copy;
      };
      const main_ = (change, options) => guide(changed(change), options).main;
      const more = (change, options) => guide(changed(change), options).more;
      const small = (_, rule) => Object.assign(rule('min_interpupillary_distance'), { measured: 30, verdict: 'fail' });
      return {
        fine: main_(() => {}),
        none: main_((d) => (d.faces = [])),
        two: main_((_, rule) => Object.assign(rule('max_second_face'), { measured: 0.8, verdict: 'fail' })),
        small: main_(small),
        // The picture to be taken has twice the frame's pixels.
        smallFrame: main_(small, { scale: 2 }),
        warned: main_((d, rule) => {
          small(d, rule);
          rule('min_interpupillary_distance').action = 'warn';
        }),
        yaw: more((d) => (d.pose.yaw = 35)),
        otherYaw: more((d) => (d.pose.yaw = -35)),
        pitch: more((d) => (d.pose.pitch = 35)),
        covered: main_((_, rule) => Object.assign(rule('max_occlusion'), { measured: 0.9, verdict: 'fail' })),
        near: main_((_, rule) => Object.assign(rule('min_surrounding'), { measured: 1.02, verdict: 'fail' })),
        grey: main_((_, rule) => (rule('min_colour').measured = 0)),
        dim: main_((_, rule) => (rule('min_colour').measured = 2.6)),
        flat: main_((_, rule) => Object.assign(rule('min_contrast'), { verdict: 'fail', measured: 5 })),
        soft: main_((_, rule) => (rule('min_contrast').measured = 20)),
        unjudged: main_((d) => (d.liveness.reliability = 0)),
        unsure: main_((d) => (d.liveness.reliability = 0.89)),
        up: more((d) => (d.faces[0].extent.top = 0)),
        rear: more((d) => (d.faces[0].extent.top = 0), { selfie: false }),
      };
    }, details);
    assert.deepEqual(told, {
      fine: 'Good, hold still',
      none: 'No face to be seen',
      two: 'Only one person, please',
      small: 'Come closer',
      smallFrame: 'Good, hold still',
      warned: 'Good, hold still',
      yaw: 'Turn your head a little to your right.',
      otherYaw: 'Turn your head a little to your left.',
      pitch: 'Lower your chin a little.',
      covered: 'Uncover your face',
      near: 'Move further away',
      grey: 'More light, please',
      dim: 'More light, please',
      flat: 'Better light, please',
      soft: 'Good, hold still',
      unjudged: 'More light, please',
      unsure: 'A little further away',
      up: 'A little down.',
      rear: '',
    });
    await close();
  });

  test('a device without one says so', async () => {
    const { page, close } = await openSignedIn();
    await page.click('#open-camera');
    await page.waitForFunction(() => document.getElementById('source-note').textContent !== '');
    assert.match(await page.textContent('#source-note'), /no camera|not allowed/);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'open-camera');
    await close();
  });
});

describe('two pictures', () => {
  test('a kept picture stands beside the next one, network by network', async () => {
    const { page, close } = await openSignedIn();
    await check(page, portrait, 'first.jpg');
    const networks = await page.locator('#live-networks li').count();
    const { details } = await detect(portrait);
    assert.equal(networks, details.liveness.models.length);
    await page.click('#keep');
    assert.match(await page.textContent('#kept-note'), /first\.jpg/);
    assert.equal(await page.isVisible('#compare-card'), false);
    await check(page, group, 'second.jpg');
    assert.match(await page.textContent('#compare-head'), /first\.jpg.*second\.jpg/s);
    assert.equal(await page.locator('#compare-head canvas').count(), 2);
    const row = (name) => page.locator('#compare-body tr', { hasText: name }).locator('td').allTextContents();
    assert.deepEqual(await row('Word'), ['OK', 'TOO_MANY_FACES']);
    // A rejected face has its gender among the details.
    for (const gender of await row('Gender')) assert.match(gender, /(Fem|M)ale, \d+ % certain/);
    assert.equal(await page.textContent('#kept-note'), '');
    assert.equal((await row('Live, says MiniFASNetV2')).length, 2);
    assert.equal((await row('Age'))[0], `${(await detect(portrait)).face.age} years`);
    await shot(page, 'compare');
    await accessible(page);
    await page.click('#compare-end');
    assert.equal(await page.isVisible('#compare-card'), false);
    await close();
  });

  test('what is beside the kept picture is the one on the bench, and what was not judged says so', async () => {
    const grey = await redrawn(
      portrait,
      'canvas.width = image.width; canvas.height = image.height; context.filter = "grayscale(1)"; context.drawImage(image, 0, 0);',
    );
    const { page, close } = await openSignedIn();
    await check(page, portrait, 'first.jpg');
    await page.click('#keep');
    await check(page, grey, 'grey.jpg');
    await page.waitForSelector('#compare-card:not([hidden])');
    const row = (name) => page.locator('#compare-body tr', { hasText: name }).locator('td').allTextContents();
    assert.equal((await row('Rules not met'))[1], '0');
    assert.equal((await row('Warnings'))[1], '1');
    assert.match((await page.locator('#compare-body tr').nth(2).locator('td').allTextContents())[1], /^Not judged/);
    await shot(page, 'compare-grey');
    await check(page, Buffer.from('no picture'), 'letter.txt');
    await page.waitForSelector('#verdict[data-state="fault"]');
    assert.ok(await page.isHidden('#compare-card'));
    assert.match(await page.textContent('#kept-note'), /^Kept first\.jpg/);
    await shot(page, 'compare-fault');
    await check(page, group, 'second.jpg');
    await page.waitForSelector('#compare-card:not([hidden])');
    assert.match(await page.textContent('#compare-head'), /first\.jpg.*second\.jpg/s);
    await close();
  });

  test('the answer is saved as the service sent it', async () => {
    const { page, close } = await openSignedIn();
    await check(page, portrait);
    const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
    const saved = JSON.parse(await readFile(await download.path(), 'utf8'));
    const { face } = await detect(portrait);
    assert.deepEqual([saved.hasError, saved.face.age, saved.face.rectangle], [false, face.age, face.rectangle]);
    assert.equal(download.suggestedFilename(), `facegate-${saved.sessionId}.json`);
    await close();
  });
});

describe('for everybody', () => {
  for (const scheme of ['light', 'dark']) {
    test(`axe finds nothing to object to when it is ${scheme}`, async () => {
      const { page, close } = await openSignedIn(browser, { colorScheme: scheme });
      for (const picture of [null, portrait, group, Buffer.from('no picture')]) {
        if (picture) await check(page, picture);
        await accessible(page);
        if (picture === portrait) await shot(page, `accepted-${scheme}`);
      }
      await page.click('#account');
      await page.click('#account');
      await accessible(page);
      await close();
    });
  }

  test('a phone shows all without scrolling sideways', async () => {
    for (const width of [390, 360, 320]) {
      const { page, close } = await openSignedIn(browser, {
        viewport: { width, height: 844 },
        deviceScaleFactor: 2,
        hasTouch: true,
        isMobile: true,
      });
      await shot(page, `phone-${width}-empty`);
      // The first is kept, the second stands beside it.
      for (const picture of [portrait, group]) {
        await check(page, picture, `${'IMG_20261126_Grandmother_Apple'.repeat(2)}.jpg`);
        if (picture === portrait) await page.click('#keep');
        else await page.waitForSelector('#compare-card:not([hidden])');
        const [content, window] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(content <= width && window <= width, `${content} in ${width}`);
        if (picture === portrait) await shot(page, `phone-${width}-accepted`);
        else await shot(page, `phone-${width}-rejected`);
      }
      // Everything that is touched is large enough for a finger (WCAG 2.5.8).
      const small = await page.evaluate(() =>
        [...document.querySelectorAll('button, a, label.button, input:not(.sr)')]
          .filter((element) => {
            const { width, height } = element.getBoundingClientRect();
            return (
              element.checkVisibility() &&
              !element.classList.contains('skip') &&
              element.type !== 'checkbox' &&
              (width < 24 || height < 24)
            );
          })
          .map((element) => element.id || element.textContent),
      );
      assert.deepEqual(small, []);
      await close();
    }
  });

  test('the keyboard reaches everything, and the focus is seen', async () => {
    const { page, close } = await openSignedIn();
    await check(page, portrait);
    await page.evaluate(() => document.activeElement.blur());
    const reached = [];
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press('Tab');
      const [id, outlined] = await page.evaluate(() => {
        const element = document.activeElement;
        const seen = element.id === 'file' ? document.getElementById('choose') : element;
        return [
          element.id || element.dataset.layer || element.className,
          getComputedStyle(seen).outlineStyle !== 'none',
        ];
      });
      if (reached.includes(id)) break;
      if (id) {
        reached.push(id);
        assert.ok(outlined, `the focus on ${id} is not seen`);
        if (id === 'file') await shot(page, 'focus', {});
      }
    }
    for (const id of [
      'skip',
      'account',
      'box',
      'keypoints',
      'landmarks',
      'file',
      'open-camera',
      'link',
      'tab-response',
      'copy',
      'code',
    ]) {
      assert.ok(reached.includes(id), `${id} is not among ${reached}`);
    }
    await close();
  });

  test('without HTTPS all but the live camera works', async () => {
    const own = await start(['--host-resolver-rules=MAP facegate.test 127.0.0.1']);
    const base = new URL(url);
    base.hostname = 'facegate.test';
    const { page, close } = await open(own, {}, base.href);
    assert.equal(await page.evaluate(() => isSecureContext), false);
    await page.click('#account');
    await signIn(page);
    await page.waitForSelector('#login', { state: 'hidden' });
    await check(page, portrait);
    assert.equal(await page.getAttribute('#verdict', 'data-state'), 'good');
    await page.click('#copy');
    await page.waitForFunction(() => document.getElementById('copy-text').textContent === 'Copied');
    // A phone opens its camera app instead.
    const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click('#open-camera')]);
    assert.match(await page.textContent('#source-note'), /HTTPS or on localhost/);
    await chooser.setFiles(FACEGATE_GROUP_PICTURE);
    await page.waitForSelector('#verdict[data-state="bad"]');
    await close();
    await own.close();
  });

  test('nothing moves for those who want it calm', async () => {
    const { page, close } = await openSignedIn(browser, { reducedMotion: 'reduce' });
    await page.evaluate(() => (document.getElementById('scan').hidden = false));
    assert.equal(await page.evaluate(() => getComputedStyle(document.getElementById('scan')).animationName), 'none');
    await close();
  });
});
