import { openCacheFolder } from '#dist/pipeline/source/index.js';
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
    inUse: (name) => openFiles((target) => target === join(directory, name)),
    close: () => rm(directory, { recursive: true }),
  };
});

type Serve = Parameters<typeof testSource>[1];

const http: Serve = async (objects) => {
  const server = await startHttp((request, response) => {
    const body = new Map(Object.entries(objects)).get(decodeURIComponent(request.url ?? '').slice(1));
    answer(request, response, body && { body, etag: `"${body.byteLength}"` });
  });
  return { location: (name) => `${server.url}/${name}`, inUse: () => server.connections(), close: () => server.close() };
};

const s3: Serve = async (objects) => {
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
};

const cached =
  (serve: Serve): Serve =>
  async (objects) => {
    const source = await serve(objects);
    const directory = await mkdtemp(join(tmpdir(), 'detco-cached-'));
    return {
      ...source,
      cache: await openCacheFolder(directory),
      inUse: async (name) => (await source.inUse(name)) + (await openFiles((target) => dirname(target) === directory)),
      async close() {
        await source.close();
        await rm(directory, { recursive: true });
      },
    };
  };

testSource('http', http);
testSource('s3', s3);
testSource('cached http', cached(http));
testSource('cached s3', cached(s3));

/** Files that this process has open. */
async function openFiles(counts: (path: string) => boolean): Promise<number> {
  const descriptors = await readdir('/proc/self/fd');
  const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => '')));
  return targets.filter(counts).length;
}
