/**
 * A reader that left at the moment a chunk came made `readShard` wait for ever for a closed archive to drain.
 * Cause: a destroyed archive takes no bytes (`write` returns false) and says nothing any more.
 */
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readShard } from '#dist/pipeline/shard/read.js';
import { closeSources } from '#dist/pipeline/source/index.js';
import { noise } from '../../support/bytes.js';
import { answer, type HttpServer, startHttp } from '../../support/http.js';
import { tarOf } from '../../support/tar.js';

let server: HttpServer;
beforeAll(async () => {
  const body = await tarOf(Array.from({ length: 40 }, (_, i) => ({ name: `${i}.jpg`, body: noise(40_000, i) })));
  server = await startHttp((request, response) => answer(request, response, { body, etag: '"1"' }));
});
afterAll(async () => {
  await closeSources();
  await server.close();
});

test('leaving a shard after any sample ends its reading, however far its bytes have come', async () => {
  let left = 0;
  const leave = async (after: number): Promise<void> => {
    for await (const { index } of readShard(`${server.url}/a.tar`)) if (index === after) break;
    left++;
  };
  for (let after = 0; after < 40; after++) await Promise.all([leave(after), leave(39 - after)]);
  expect(left).toBe(80);
});
