/** How many images the shards hold, before an epoch has counted them. */
import type { Pipeline } from './pipeline.js';
import type { SampleFields } from './shard/group.js';
import { readShard } from './shard/read.js';
import { countSamples } from './shard/shard-index.js';
import { skippedNames, skippedShards } from './plan/skip.js';
import { type FoundShard, isRemote } from './source/index.js';

/** Indexes that are read, spread over all: there may be hundreds of thousands. */
const INDEXES = 64;
/** Samples of a local shard that tell how many bytes one takes. */
const WEIGHED = 256;
/** Of a sample beside its image: their headers and a label with padding. Little beside images that are worth a remote store. */
const TAR_BYTES = 2048;

/**
 * An estimate by the indexes of shards, or by their sizes and that of a sample.
 * @param pipeline after its first batch
 * @param skipShards what it leaves out
 * @returns undefined where neither is known
 */
export async function estimateImages(
  pipeline: Pick<Pipeline, 'shards' | 'found' | 'meters'>,
  indexDir: string,
  fields: SampleFields,
  skipShards: readonly string[] = [],
): Promise<number | undefined> {
  const skipped = skippedShards(pipeline.shards, skippedNames(skipShards));
  const shards = pipeline.found().filter((_, i) => !skipped.has(i));
  const stride = Math.max(1, shards.length / INDEXES);
  const some = Array.from({ length: Math.ceil(shards.length / stride) }, (_, i) => shards[Math.floor(i * stride)]?.location ?? '');
  const each = (await countSamples(indexDir, some, fields).then(mean, () => undefined)) ?? (await bySize(shards, pipeline, fields));
  return each === undefined ? undefined : Math.round(each * shards.length);
}

/** Images a shard. */
async function bySize(
  shards: readonly FoundShard[],
  pipeline: Pick<Pipeline, 'meters'>,
  fields: SampleFields,
): Promise<number | undefined> {
  const sized = shards.flatMap(({ location, bytes }) => (bytes === undefined ? [] : [{ location, bytes }]));
  const [first] = sized;
  if (!first) return undefined;
  const { count = 0, bytes = 0 } = pipeline.meters().totals.stages['tar'] ?? {};
  // What is wrong with a shard is told when its turn comes: it may be left out, or come late.
  const sample = isRemote(first.location) ? bytes / count + TAR_BYTES : await sampleBytes(first, fields).catch(() => NaN);
  const images = mean(sized.map((shard) => shard.bytes)) / sample;
  return Number.isFinite(images) ? images : undefined;
}

async function sampleBytes(
  { location, bytes }: { readonly location: string; readonly bytes: number },
  fields: SampleFields,
): Promise<number> {
  let samples = 0;
  for await (const { start } of readShard(location, { fields })) if (samples++ === WEIGHED) return start / WEIGHED;
  return bytes / samples;
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
