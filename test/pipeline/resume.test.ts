/** Resuming with shard indexes: the same batches, and hardly a byte that the uninterrupted run would not have read. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { type PipelineOptions, recipes } from '#dist/pipeline/index.js';
import { indexPath, indexShard, readIndex } from '#dist/pipeline/shard/shard-index.js';
import { closeSources } from '#dist/pipeline/source/index.js';
import sharp from 'sharp';
import { type BatchDigest, digestBatches } from '../support/batches.js';
import { noise } from '../support/bytes.js';
import { answer, type HttpServer, startHttp } from '../support/http.js';
import { tarOf } from '../support/tar.js';

const SHARDS = 12;
const PER_SHARD = 60;
const IMAGE_BYTES = 40_000;
/** What one sample takes of a shard: header, content in blocks of 512, and the label's two blocks. */
const SAMPLE_BYTES = 512 + 512 * Math.ceil(IMAGE_BYTES / 512) + 1024;
const EPOCH_BYTES = SHARDS * PER_SHARD * SAMPLE_BYTES;

const shards = new Map<string, Buffer>();
const sockets = new Set<Socket>();
let folder: string;
let server: HttpServer;
let options: PipelineOptions;
let whole: BatchDigest[];
let wholeBytes: number;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-resume-'));
  for (let shard = 0; shard < SHARDS; shard++) shards.set(`/s${shard}.tar`, await shardBytes(shard));
  server = await startHttp((request, response) => {
    const body = shards.get(request.url ?? '');
    answer(request, response, body && { body, etag: '"1"' });
    sockets.add(request.socket);
  });
  options = {
    shards: [...shards.keys()].map((path) => server.url + path),
    recipe: recipes.evaluation({ globalSize: 16 }),
    batchSize: 6,
    seed: 5,
    epochs: 1,
    lanes: 2,
    workers: 2,
    shuffle: 4,
    indexDir: join(folder, 'index'),
  };
  [whole, wholeBytes] = await counted(options);
});
afterAll(async () => {
  await closeSources();
  await server.close();
  await rm(folder, { recursive: true });
});

/** Each image is a small JPEG, which decodes in no time, and noise after its end, so that it weighs what a photograph does. */
async function shardBytes(shard: number): Promise<Buffer> {
  const members: { name: string; body: Uint8Array | string }[] = [];
  for (let index = 0; index < PER_SHARD; index++) {
    const pixels = noise(3 * 16 * 16, shard * PER_SHARD + index);
    const jpeg = await sharp(pixels, { raw: { width: 16, height: 16, channels: 3 } })
      .jpeg()
      .toBuffer();
    const key = `s${shard}-${index}`;
    members.push({ name: `${key}.jpg`, body: Buffer.concat([jpeg, noise(IMAGE_BYTES - jpeg.byteLength, index)]) });
    members.push({ name: `${key}.cls`, body: String(index) });
  }
  return tarOf(members);
}

/** Bytes that the server has sent, headers of answers too. */
const sent = (): number => [...sockets].reduce((sum, { bytesWritten }) => sum + bytesWritten, 0);

/** The batches, and the bytes that were sent for them. */
async function counted(all: PipelineOptions, most?: number): Promise<[BatchDigest[], number]> {
  const before = sent();
  const batches = await digestBatches(all, most);
  return [batches, sent() - before];
}

function stateAfter(batches: readonly BatchDigest[], step: number): NonNullable<PipelineOptions['resume']> {
  const state = batches[step]?.state;
  if (!state) throw new Error(`no batch ${step}`);
  return state;
}

/** Bytes that a run resumed after `step` read of samples that the uninterrupted one had read already. */
const readAgain = (bytes: number, step: number): number => {
  const toCome = SHARDS * PER_SHARD - (step + 1) * 6;
  // Full shuffle buffers hold samples that are to come and were read.
  const unread = toCome - 2 * 4;
  return bytes - unread * SAMPLE_BYTES;
};

describe('a shard that was streamed whole', () => {
  test('has left its index, the one that indexing makes', async () => {
    expect(await readdir(join(folder, 'index'))).toHaveLength(SHARDS);
    for (const location of options.shards) {
      expect(await readIndex(join(folder, 'index'), location)).toEqual(await indexShard(location));
    }
    const bytes = [...shards.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
    expect(wholeBytes).toBeGreaterThanOrEqual(bytes);
    expect(wholeBytes).toBeLessThan(1.001 * bytes);
  });

  test('an order that does not depend on whether an index is there', async () => {
    const { indexDir: _, ...without } = options;
    expect(await digestBatches(without)).toEqual(whole);
    expect(await digestBatches(options)).toEqual(whole);
  });
});

describe('a resume with indexes', () => {
  test.each([0, 17, 60, 100, 117])('after batch %i gives the same batches and reads less than 2 %% of the epoch again', async (step) => {
    const [rest, bytes] = await counted({ ...options, resume: stateAfter(whole, step) });
    expect(rest).toEqual(whole.slice(step + 1));
    expect(readAgain(bytes, step)).toBeGreaterThan(0);
    expect(readAgain(bytes, step)).toBeLessThan(0.02 * EPOCH_BYTES);
  });

  test('the same divided by samples, where lanes begin in the middle of shards', async () => {
    const bySamples = { ...options, divide: 'samples', lanes: 2 } as const;
    const [all, allBytes] = await counted(bySamples);
    expect(all.flatMap(({ keys }) => keys)).toHaveLength(SHARDS * PER_SHARD);
    // A shard that two lanes share is not read twice.
    expect(allBytes).toBeLessThan(1.001 * wholeBytes);
    const [rest, bytes] = await counted({ ...bySamples, resume: stateAfter(all, 100) });
    expect(rest).toEqual(all.slice(101));
    expect(readAgain(bytes, 100)).toBeLessThan(0.02 * EPOCH_BYTES);
  });

  test('is as exact where the index of a shard that was passed over is missing', async () => {
    const dir = join(folder, 'index');
    const used = new Set(whole.slice(0, 100).flatMap(({ keys }) => keys.map((key) => key.split('-')[0])));
    expect(used.size).toBe(SHARDS);
    const lost = options.shards[3] ?? '';
    await rm(indexPath(dir, lost));
    const [rest, bytes] = await counted({ ...options, resume: stateAfter(whole, 100) });
    expect(rest).toEqual(whole.slice(101));
    expect(readAgain(bytes, 100)).toBeGreaterThan(0.5 * PER_SHARD * SAMPLE_BYTES);
    // It was read to its end, so it is known again.
    expect(await readIndex(dir, lost)).toEqual(await indexShard(lost));
  });
});

describe('a shard that has changed since it was indexed', () => {
  const resumed = (step: number) => digestBatches({ ...options, resume: stateAfter(whole, step) });

  test('is met by the checksum of what is fetched again', async () => {
    const originals = [...shards];
    for (const [path, bytes] of originals) {
      const changed = Buffer.from(bytes);
      // The last byte of every image.
      for (let at = 0; at + SAMPLE_BYTES <= changed.byteLength; at += SAMPLE_BYTES)
        changed.writeUInt8(255 - changed.readUInt8(at + 512 + IMAGE_BYTES - 1), at + 512 + IMAGE_BYTES - 1);
      shards.set(path, changed);
    }
    await expect(resumed(100)).rejects.toThrow(
      /s\d+\.tar: has changed since it was indexed: the checksum of s\d+-\d+ is another; .* remove .*\/index\/s\d+\.tar-[0-9a-f]+\.json/,
    );
    for (const [path, bytes] of originals) shards.set(path, bytes);
  });

  test('is met by the samples that are streamed on', async () => {
    const originals = [...shards];
    for (const [path, bytes] of originals) shards.set(path, Buffer.concat([bytes.subarray(SAMPLE_BYTES), bytes.subarray(0, SAMPLE_BYTES)]));
    await expect(resumed(3)).rejects.toThrow(/has changed since it was indexed: /);
    for (const [path, bytes] of originals) shards.set(path, bytes.subarray(SAMPLE_BYTES));
    await expect(resumed(60)).rejects.toThrow(/has changed since it was indexed: |shorter than its index says/);
    for (const [path, bytes] of originals) shards.set(path, bytes);
  });
});
