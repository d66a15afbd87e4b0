// The client against the running service that the environment names (scripts/with-service), and against a busy one.
//
//   scripts/with-service npm --prefix clients/typescript test

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import test from "node:test";
import { FaceGate, ServiceError } from "../dist/index.js";

const { FACEGATE_URL: url, FACEGATE_USER: user, FACEGATE_PASSWORD: password } = process.env;
const portrait = await readFile(process.env.FACEGATE_PICTURE);
const group = await readFile(process.env.FACEGATE_GROUP_PICTURE);
const service = new FaceGate(url, { user, password });

test("an accepted picture has a face with its image", async () => {
  assert.equal(await service.isReady(), true);
  const answer = await service.detect(portrait, { sessionId: "mine", faceImage: true, details: true });
  assert.equal(answer.hasError, false);
  assert.equal(answer.sessionId, "mine");
  assert.ok(answer.face.faceImageBase.startsWith("/9j/"));
  assert.ok(answer.details.rules.length > 0);
});

test("a rejected picture is an answer", async () => {
  const answer = await service.detect(group);
  assert.equal(answer.error, "TOO_MANY_FACES");
});

test("what is no picture and a wrong password reject", async () => {
  await assert.rejects(service.detect(Buffer.from("no picture")), (error) => {
    assert.ok(error instanceof ServiceError);
    assert.deepEqual([error.status, error.code], [422, "image_format_unknown"]);
    return true;
  });
  const stranger = new FaceGate(url, { user: "nobody", password: "wrong" });
  await assert.rejects(stranger.detect(portrait), { status: 401 });
});

test("a 200 of something else rejects", async () => {
  for (const body of ["<html>Sign in</html>", "", "null", "[]", '{"status":"ok"}', '{"hasError":"no"}']) {
    const strange = new FaceGate("http://service", { user, password, fetch: async () => new Response(body) });
    await assert.rejects(strange.detect(portrait), { name: "ServiceError", status: 200, code: "answer_unknown" }, body);
  }
});

test("a service that does not answer is not waited for for ever", async () => {
  const silent = ({ signal }) =>
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
  const client = new FaceGate("http://service", { user, password, timeout: 50, fetch: silent });
  // A timeout of AbortSignal keeps no process alive.
  const alive = setTimeout(() => {}, 10_000);
  await assert.rejects(client.isReady(), { name: "TimeoutError" });
  await assert.rejects(client.detect(portrait), { name: "TimeoutError" });
  clearTimeout(alive);
});

function busyUntil(last, statuses) {
  return async () => {
    const busy = statuses.length + 1 < last;
    statuses.push(busy ? 503 : 200);
    const errorDetail = { code: busy ? "overloaded" : "no_face", message: "as said" };
    const body = { hasError: true, error: busy ? "INTERNAL_ERROR" : "FACE_NOT_FOUND", errorDetail };
    return Response.json(body, { status: busy ? 503 : 200, headers: busy ? { "Retry-After": "0" } : {} });
  };
}

test("a busy service is asked again, and not for ever", async () => {
  let statuses = [];
  const patient = new FaceGate("http://service", { user, password, fetch: busyUntil(3, statuses) });
  assert.equal((await patient.detect(portrait)).error, "FACE_NOT_FOUND");
  assert.deepEqual(statuses, [503, 503, 200]);
  statuses = [];
  const hasty = new FaceGate("http://service", { user, password, attempts: 2, fetch: busyUntil(9, statuses) });
  await assert.rejects(hasty.detect(portrait), { status: 503, code: "overloaded" });
  assert.deepEqual(statuses, [503, 503]);
});
