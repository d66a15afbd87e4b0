// The Human library behind facegate's call: one process per core, WebAssembly with SIMD, detection, mesh, description (age and
// gender), antispoof and liveness. Started by ../run.
//
//     node server.mjs PORT [PROCESSES]

import cluster from 'node:cluster';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const require = createRequire(import.meta.url);
const port = Number(process.argv[2]);

const packages = path.join(path.dirname(fileURLToPath(import.meta.url)), 'node_modules');

if (cluster.isPrimary) {
  // The library reads its models over HTTP only.
  http
    .createServer((request, response) => {
      const file = path.join(packages, '@vladmandic/human/models', path.basename(request.url));
      fs.createReadStream(file).on('error', () => response.writeHead(404).end()).pipe(response);
    })
    .listen(port + 1, '127.0.0.1');
  for (let n = Number(process.argv[3] ?? 2); n > 0; n -= 1) cluster.fork();
} else {
  const { default: Human } = require(path.join(packages, '@vladmandic/human/dist/human.node-wasm.js'));
  const wasm = path.join(packages, '@tensorflow/tfjs-backend-wasm/wasm-out');
  const human = new Human({
    backend: 'wasm',
    wasmPath: `${wasm}/`,
    modelBasePath: `http://127.0.0.1:${port + 1}/`,
    cacheSensitivity: 0, // every picture anew
    filter: { enabled: false },
    face: {
      enabled: true,
      detector: { rotation: true, maxDetected: 2 },
      mesh: { enabled: true },
      iris: { enabled: false },
      emotion: { enabled: false },
      description: { enabled: true },
      antispoof: { enabled: true },
      liveness: { enabled: true },
    },
    body: { enabled: false },
    hand: { enabled: false },
    object: { enabled: false },
    gesture: { enabled: false },
  });
  await human.load();

  const analyse = async (body) => {
    const { sessionId, faceImageBase } = JSON.parse(body);
    const { data, info } = await sharp(Buffer.from(faceImageBase, 'base64')).removeAlpha().raw().toBuffer({ resolveWithObject: true });
    const pixels = human.tf.tensor(new Float32Array(data), [1, info.height, info.width, 3], 'float32');
    const { face } = await human.detect(pixels);
    human.tf.dispose(pixels);
    if (face.length !== 1) return { sessionId, hasError: true, error: face.length ? 'TOO_MANY_FACES' : 'FACE_NOT_FOUND' };
    const [left, top, width, height] = face[0].box;
    const { age, gender, genderScore, real, live } = face[0];
    return { sessionId, hasError: false, face: { age, gender, genderScore, real, live, rectangle: { left, top, width, height } } };
  };

  http
    .createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', async () => {
        try {
          const answer = JSON.stringify(await analyse(Buffer.concat(chunks)));
          response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(answer) }).end(answer);
        } catch (error) {
          response.writeHead(500).end(String(error));
        }
      });
    })
    .listen(port, '127.0.0.1');
}
