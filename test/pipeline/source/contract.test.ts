import { mkdir, mkdtemp, readdir, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setEnv } from '../../support/env.js';
import { answer, startHttp } from '../../support/http.js';
import { startS3 } from '../../support/s3.js';
import { testSource } from './contract.js';

testSource('file', async (objects) => {
  const directory = await mkdtemp(join(tmpdir(), 'detco-file-'));
  for (const [name, body] of Object.entries(objects)) {
    await mkdir(dirname(join(directory, name)), { recursive: true });
    await writeFile(join(directory, name), body);
  }
  return {
    location: (name) => join(directory, name),
    async inUse(name) {
      const descriptors = await readdir('/proc/self/fd');
      const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
      return targets.filter((target) => target === join(directory, name)).length;
    },
    close: () => rm(directory, { recursive: true }),
  };
});

testSource('http', async (objects) => {
  const server = await startHttp((request, response) => {
    const body = new Map(Object.entries(objects)).get(decodeURIComponent(request.url ?? '').slice(1));
    answer(request, response, body && { body, etag: `"${body.byteLength}"` });
  });
  return { location: (name) => `${server.url}/${name}`, inUse: () => server.connections(), close: () => server.close() };
});

testSource('s3', async (objects) => {
  const server = await startS3({ files: objects });
  const restore = setEnv(server.env);
  return {
    location: (name) => `${server.url}/${name}`,
    inUse: () => server.connections(),
    async close() {
      restore();
      await server.close();
    },
  };
});
