import { appendFile, copyFile, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { indexShards, type ShuffleSummary } from '#dist/pipeline/shard/index-shards.js';
import { indexShard, readIndex } from '#dist/pipeline/shard/shard-index.js';
import { closeSources } from '#dist/pipeline/source/index.js';
import { fixtureSamples } from '../../support/images.js';
import { tarOf } from '../../support/tar.js';
import { answer, startHttp } from '../../support/http.js';
import { writeTestShards } from '../../support/shards.js';

let dir: string;
let index: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'detco-index-shards-'));
  index = join(dir, 'index');
});
afterEach(() => rm(dir, { recursive: true, force: true }));

test('indexes every shard and says what they hold', async () => {
  const shards = await writeTestShards(dir, { counts: [10, 9, 8, 10] });
  const done: number[] = [];
  const report = await indexShards(shards, { dir: index, workers: 2, batchSize: 4, onShard: (count) => done.push(count) });
  expect(report).toMatchObject({ shards: 4, kept: 0, samples: 37, bad: 0, uneven: 1, failed: [] });
  expect(report.labels).toEqual({ labelled: 37, distinct: 5, lowest: 0, highest: 4 });
  expect([report.smallest, report.largest]).toEqual([
    { shard: shards[2], samples: 8 },
    { shard: shards[0], samples: 10 },
  ]);
  expect(done).toEqual([1, 2, 3, 4]);
  for (const shard of shards) expect(await readIndex(index, shard)).toEqual(await indexShard(shard));
});

test('tells shards that are sorted by class from shuffled ones', async () => {
  const samples = await fixtureSamples(240);
  const sorted = samples.toSorted((a, b) => (a.label ?? 0) - (b.label ?? 0));
  const summaries: ShuffleSummary[] = [];
  for (const [name, set] of Object.entries({ samples, sorted })) {
    const shard = join(dir, `${name}.tar`);
    const members = set.flatMap(({ key, label, image }) => [
      { name: `${key}.jpg`, body: image },
      { name: `${key}.cls`, body: String(label) },
    ]);
    await writeFile(shard, await tarOf(members));
    summaries.push((await indexShards([shard], { dir: index, workers: 1, batchSize: 16 })).shuffle);
  }
  const [shuffled, inOrder] = summaries;
  const counts = new Map<number | undefined, number>();
  for (const { label } of samples) counts.set(label, (counts.get(label) ?? 0) + 1);
  const chance = [...counts.values()].reduce((sum, count) => sum + count * (count - 1), 0) / (240 * 239);
  expect(inOrder?.sameLabel).toBeCloseTo((240 - counts.size) / 239, 10);
  expect(inOrder?.sameLabelByChance).toBeCloseTo(chance, 10);
  expect(shuffled?.sameLabelByChance).toBeCloseTo(chance, 10);
  expect(shuffled?.sameLabel).toBeLessThan(0.2);
  expect(shuffled).toMatchObject({ lanes: 16, buffer: 64, batchSize: 16, shardsPerBatch: { plan: 1, full: 1 } });
});

test('reads only what has no index, or has changed, or what it is made to', async () => {
  const bodies = await writeTestShards(dir, { counts: [4, 4] });
  const shard = join(dir, 'shard.tar');
  await copyFile(bodies[0] ?? '', shard);
  const build = (force = false) => indexShards([shard], { dir: index, workers: 1, batchSize: 4, force });
  expect((await build()).kept).toBe(0);
  expect((await build()).kept).toBe(1);
  expect((await build(true)).kept).toBe(0);
  await appendFile(shard, Buffer.alloc(512));
  const report = await build();
  expect(report.kept).toBe(0);
  expect((await readIndex(index, shard))?.bytes).toBe(report.bytes);
});

test('does not read a remote shard again', async () => {
  const body = await readFile('fixtures/shards/val-000.tar');
  const http = await startHttp((request, response) => answer(request, response, { body, etag: '"v1"' }));
  try {
    const build = () => indexShards([`${http.url}/val.tar`], { dir: index, workers: 1, batchSize: 4 });
    await build();
    const before = http.requests.length;
    expect(await build()).toMatchObject({ kept: 1, samples: 432, bytes: body.length });
    expect(http.requests.length).toBe(before);
  } finally {
    await closeSources();
    await http.close();
  }
});

test('a shard that cannot be read is named and does not stop the others', async () => {
  const [good = ''] = await writeTestShards(dir, { counts: [3] });
  const cut = resolve('fixtures/odd/cut.tar');
  const report = await indexShards([cut, good, join(dir, 'gone.tar')], { dir: index, workers: 3, batchSize: 4 });
  expect(report).toMatchObject({ shards: 1, samples: 3 });
  expect(report.failed.map(({ shard }) => shard)).toEqual([cut, join(dir, 'gone.tar')]);
  expect(report.failed[0]?.problem).toContain('in the middle of the archive');
  expect(report.failed[1]?.problem).toContain('no such file');
  expect(await readdir(index)).toHaveLength(1);
});

test('stops when it is aborted and keeps what is finished', async () => {
  const shards = await writeTestShards(dir, { counts: [3, 3, 3, 3, 3, 3] });
  const stop = new AbortController();
  const stopped = indexShards(shards, {
    dir: index,
    workers: 1,
    batchSize: 4,
    signal: stop.signal,
    onShard: (done) => done === 2 && stop.abort(new Error('enough')),
  });
  await expect(stopped).rejects.toThrow('enough');
  const kept = (await readdir(index)).length;
  expect(kept).toBeGreaterThanOrEqual(2);
  expect(await indexShards(shards, { dir: index, workers: 1, batchSize: 4 })).toMatchObject({ shards: 6, kept });
});
