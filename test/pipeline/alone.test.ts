/** `detco/pipeline` as a stranger's process uses it: by name, without a tensor library, leaving nothing behind. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { writeTestShards } from '../support/shards.js';

const run = promisify(execFile);
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-alone-'));
  await writeTestShards(folder, { counts: [12, 12] });
});

afterAll(() => rm(folder, { recursive: true }));

const program = (body: string) => `
  import { createRequire } from 'node:module';
  import { createPipeline, recipes } from 'detco/pipeline';
  const options = { shards: ${JSON.stringify(join(folder, '*.tar'))}, recipe: recipes.detco({ globalSize: 24, patchSize: 8 }), batchSize: 4, epochs: 2 };
  ${body}
  const tensorModules = Object.keys(createRequire(import.meta.url).cache).filter((path) => path.includes('@tensorflow'));
  console.log(JSON.stringify({ batches, tensorModules, left: process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort|TCP/.test(name)) }));
`;

const bodies = {
  'read to its end': 'let batches = 0; for await (const batch of await createPipeline(options)) batches += batch.size > 0;',
  'left by break': 'let batches = 0; for await (const batch of await createPipeline(options)) { batches++; break; }',
  'left by an error':
    'let batches = 0; try { for await (const batch of await createPipeline(options)) { batches++; throw new Error(); } } catch {}',
  'ended by an abort':
    'let batches = 0; const stop = new AbortController(); try { for await (const batch of await createPipeline({ ...options, signal: stop.signal })) { batches++; stop.abort(); } } catch {}',
  'closed before it is read': 'const batches = 0; const pipeline = await createPipeline(options); await pipeline.close();',
};

test.each(Object.entries(bodies))('a pipeline %s leaves no thread, port or socket behind', async (how, body) => {
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program(body)], { timeout: 50_000 });
  const batches = how === 'read to its end' ? 12 : how.startsWith('left') || how.startsWith('ended') ? 1 : 0;
  expect(JSON.parse(stdout)).toEqual({ batches, tensorModules: [], left: [] });
});
