// Serves the page as the service does (same paths, same policy) and passes everything else to a running service:
// node dev-server.mjs [port] [service], by default 8191 and http://127.0.0.1:8190.
import { createServer, request } from 'node:http';
import { readFile } from 'node:fs/promises';

const [port = '8191', service = 'http://127.0.0.1:8190'] = process.argv.slice(2);
const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; " +
  "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
const files = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/playground.css': ['playground.css', 'text/css; charset=utf-8'],
  '/playground.js': ['playground.js', 'text/javascript; charset=utf-8'],
  '/favicon.svg': ['favicon.svg', 'image/svg+xml'],
};

createServer(async (incoming, outgoing) => {
  const file = files[incoming.url.split('?')[0]];
  if (file && incoming.method === 'GET') {
    outgoing.writeHead(200, {
      'Content-Type': file[1],
      'Content-Security-Policy': policy,
      'Cache-Control': 'no-store',
      'X-Content-Type-Options': 'nosniff',
      'Referrer-Policy': 'no-referrer',
    });
    outgoing.end(await readFile(new URL(`../${file[0]}`, import.meta.url)));
    return;
  }
  const passed = request(new URL(incoming.url, service), { method: incoming.method, headers: incoming.headers }, (answer) => {
    outgoing.writeHead(answer.statusCode, answer.headers);
    answer.pipe(outgoing);
  });
  passed.on('error', () => outgoing.writeHead(502, { 'Content-Type': 'text/plain' }).end('the service does not answer\n'));
  incoming.pipe(passed);
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`));
