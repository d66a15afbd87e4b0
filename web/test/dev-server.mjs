// Passes everything to a running service, but takes the bodies of the page's files from this folder's parent: a changed
// page is seen without a build, with the service's own paths and headers.
//
//   node dev-server.mjs [port] [service]     by default 8191 and http://127.0.0.1:8190
import { readFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';

const [port = '8191', service = 'http://127.0.0.1:8190'] = process.argv.slice(2);

createServer((incoming, outgoing) => {
  const passed = request(
    new URL(incoming.url, service),
    { method: incoming.method, headers: incoming.headers },
    async (answer) => {
      const path = new URL(incoming.url, service).pathname;
      const file = await readFile(new URL(`..${path === '/' ? '/index.html' : path}`, import.meta.url)).catch(
        () => null,
      );
      const headers = { ...answer.headers, ...(file && { 'content-length': file.length }) };
      outgoing.writeHead(answer.statusCode, headers);
      if (file) outgoing.end(file);
      else answer.pipe(outgoing);
    },
  );
  passed.on('error', () =>
    outgoing.writeHead(502, { 'Content-Type': 'text/plain' }).end('the service does not answer\n'),
  );
  incoming.pipe(passed);
}).listen(Number(port), '127.0.0.1', () => console.log(`http://127.0.0.1:${port}`));
