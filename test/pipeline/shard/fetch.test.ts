/** What goes wrong with a sample that is fetched ahead is met when its turn comes, and ends nothing before. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

test.each(['fetchImages', 'fetchSamples'])('a failure that nobody waits for yet ends no process: %s', async (fetch) => {
  const program = `
    import { ${fetch} } from './dist/pipeline/shard/fetch.js';
    const request = (i) => ({ location: 'no-such.tar', index: i, end: 1e7 * i + 2048, repeated: false,
      entry: { key: String(i), start: 1e7 * i, offset: 1e7 * i + 512, size: 1000, crc: 0 } });
    const [first, ...others] = ${fetch}([0, 1, 2].map(request), { indexDir: 'none' });
    await first.catch(() => undefined);
    await new Promise(setImmediate);
    for (const other of others) await other.catch((error) => console.log(error.name));`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program]);
  expect(stdout).toBe('SourceError\nSourceError\n');
});
