// Checks a picture with facegate. Node 18 or later, nothing to install.
//
//   FACEGATE_USER=ann FACEGATE_PASSWORD=… node client.mjs portrait.jpg
import { Buffer } from 'node:buffer';
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

const url = `${process.env.FACEGATE_URL ?? 'http://127.0.0.1:8080'}/api/v1/face/detect`;
const login = Buffer.from(`${process.env.FACEGATE_USER}:${process.env.FACEGATE_PASSWORD}`).toString('base64');

/** The service's answer. Waits and tries again when it is busy. */
async function check(picture, attempts = 4) {
  const body = JSON.stringify({ sessionId: randomUUID(), faceImageBase: picture.toString('base64') });
  const headers = { 'Content-Type': 'application/json', Authorization: `Basic ${login}` };
  for (let attempt = 1; ; attempt += 1) {
    const response = await fetch(url, { method: 'POST', headers, body, signal: AbortSignal.timeout(60_000) });
    const busy = response.status === 429 || response.status === 503;
    // Every answer of the service is JSON; a proxy in front may send something else.
    if (!busy || attempt === attempts) return response.json();
    await response.arrayBuffer();
    await sleep(1000 * Number(response.headers.get('Retry-After') ?? 1));
  }
}

const answer = await check(await readFile(process.argv[2]));
if (answer.hasError) {
  // The word is for the end user (docs/api.md), the detail for the log.
  console.log(`${answer.error} - ${answer.errorDetail.message}`);
  process.exitCode = 1;
} else {
  const { age, passiveLivenessScore, rectangle } = answer.face;
  const alive = passiveLivenessScore >= 0.5;
  console.log(`${alive ? 'live' : 'NOT live'}, about ${age} years, at ${JSON.stringify(rectangle)}`);
}
