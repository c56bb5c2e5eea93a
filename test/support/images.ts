/** Real images as files, in the layouts that data sets come in; taken from fixtures/shards. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ShardSample } from '#dist/pipeline/shard/group.js';
import { readShard } from '#dist/pipeline/shard/read.js';

export const FIXTURE = 'fixtures/shards/val-000.tar';

/** The first `count` samples of a fixture shard: 96x96 JPEGs of 24 classes. */
export async function fixtureSamples(count: number): Promise<ShardSample[]> {
  const samples: ShardSample[] = [];
  for await (const sample of readShard(FIXTURE)) {
    if (samples.length === count) break;
    samples.push(sample);
  }
  return samples;
}

/** Folder of a class, as ILSVRC2012 names them. */
export const className = (label: number): string => `n${String(label).padStart(8, '0')}`;

/** Writes DIR/CLASS/KEY.JPEG. */
export async function writeImageFolder(dir: string, samples: readonly ShardSample[]): Promise<void> {
  for (const { key, label = 0, image } of samples) {
    await mkdir(join(dir, className(label)), { recursive: true });
    await writeFile(join(dir, className(label), `${key}.JPEG`), image);
  }
}

/** Every sample of some shards, by key. */
export async function readAll(paths: readonly string[]): Promise<Map<string, ShardSample>> {
  const samples = new Map<string, ShardSample>();
  for (const path of paths) {
    for await (const sample of readShard(path)) {
      if (samples.has(sample.key)) throw new Error(`key "${sample.key}" comes twice`);
      samples.set(sample.key, sample);
    }
  }
  return samples;
}
