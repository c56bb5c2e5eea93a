import { openCacheFolder } from '#dist/pipeline/source/index.js';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { openFiles } from '../../support/open-files.js';
import { answer, startHttp } from '../../support/http.js';
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
testSource('cached http', cached(http));
