/** Options -> a pipeline: checks them, lists the shards and asks for each, and makes the plan. */
import { PipelineOptionError } from './option-error.js';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { AugmentBy, WrittenViews } from './augment/defer.js';
import type { Views } from './augment/recipe.js';
import { validateRecipe } from './augment/validate.js';
import { slotBytes, type SlotShape } from './batch/slots.js';
import { usableMemory } from './machine.js';
import { type PipelineOptions, type ResolvedOptions, resolveOptions } from './options.js';
import { folderProblem } from './output-place.js';
import { fieldsOf, type Pipeline, slotShape, WorkerPipeline } from './pipeline.js';
import { divideSamples } from './plan/division.js';
import { skippedNames, skippedShards } from './plan/skip.js';
import type { SampleFields } from './shard/group.js';
import { countSamples } from './shard/shard-index.js';
import { compareShards } from './shard/same-shards.js';
import { askShards } from './source/ask.js';
import { type CacheFolder, findShards, formatByteSize, openCacheFolder } from './source/index.js';

/**
 * Prepares a pipeline: checks the options, lists the shards and asks for each. Its batches have the views that the recipe's type
 * names.
 *
 * @throws RangeError for an unusable option or a shard without the index it needs; SourceError if a shard spec matches nothing or cannot be
 *   listed, if shards are missing, or if they are not those of `expect`
 */
export async function createPipeline<Named extends Views, By extends AugmentBy = 'worker'>(
  options: PipelineOptions<Named, By>,
): Promise<Pipeline<WrittenViews<Named, By>>> {
  const resolved = resolveOptions(options);
  validateRecipe(options.recipe);
  assertSlotsFit(resolved.slots, slotShape(options, resolved));
  const specs = typeof options.shards === 'string' ? [options.shards] : options.shards;
  const { lanes, seed, shuffle, divide, ordinals, indexDir, checkShards: check, rank, worldSize } = resolved;
  const { signal, cwd, onRetry, onAnswer, onRewritten, expect } = options;
  const fields = fieldsOf(resolved);
  const asking = { ...(signal && { signal }), ...(onRetry && { onRetry }) };
  const names = skippedNames(resolved.skipShards ?? []);
  const listed = await findShards(specs, { ...asking, ...(cwd !== undefined && { cwd }), mayBeMissing: names });
  const shards = listed.map(({ location }) => location);
  const skipped = skippedShards(shards, names);
  const found = await askShards(listed, { ...asking, ...(onAnswer && { onAnswer }), remote: check !== 'none', rank, worldSize, skipped });
  const compared =
    expect && (await compareShards(expect, found, { ...asking, ...(onRewritten && { onRewritten }), check, indexDir, fields, skipped }));
  // Ordinals do not depend on what is left out.
  const samples = divide === 'samples' || ordinals ? await samplesOf(shards, ordinals ? NONE : skipped, indexDir ?? '', fields) : undefined;
  const read = samples?.map((count, shard) => (skipped.has(shard) ? 0 : count));
  const division = divide === 'samples' && read ? divideSamples(read, resolved) : undefined;
  if (indexDir !== undefined && !(await isFolder(indexDir))) await assertFolder('indexDir', indexDir);
  const plan = { shards: shards.length, lanes, seed, shuffle, skipped, ...(division && { division }) };
  const known = { found, compared, ...(ordinals && { samples }) };
  const pipeline: Pipeline = new WorkerPipeline(options, resolved, known, plan, await openCache(resolved));
  return pipeline as Pipeline<WrittenViews<Named, By>>;
}

const NONE: ReadonlySet<number> = new Set();

/** Samples that each shard gives: none of those that are skipped, which need no index. */
async function samplesOf(
  shards: readonly string[],
  skipped: ReadonlySet<number>,
  indexDir: string,
  fields: SampleFields,
): Promise<number[]> {
  const read = shards.flatMap((_, shard) => (skipped.has(shard) ? [] : [shard]));
  const counts = await countSamples(
    indexDir,
    read.map((shard) => shards[shard] ?? ''),
    fields,
  );
  const samples = shards.map(() => 0);
  for (const [i, shard] of read.entries()) samples[shard] = counts[i] ?? 0;
  return samples;
}

/** Shared memory is there as soon as it is asked for, and ends the process when it is written to and there is none. */
function assertSlotsFit(slots: number, shape: SlotShape): void {
  const [bytes, most] = [slots * slotBytes(shape), usableMemory()];
  if (bytes <= most) return;
  const { kept, ...views } = shape;
  if (kept && slots * slotBytes(views) <= most)
    throw new PipelineOptionError(
      'maxFieldBytes',
      `${kept.bytes} for each of ${shape.batchSize} samples in ${slots} slots is more than the ` +
        `${formatByteSize(most)} of memory; use less, or a smaller batch`,
    );
  const fits = Math.floor((shape.batchSize * most) / bytes);
  throw new PipelineOptionError(
    'batchSize',
    `${slots} slots of ${shape.batchSize} samples take ${formatByteSize(bytes)}, and there are ${formatByteSize(most)} of memory; ` +
      `use less than ${fits}, or smaller views`,
  );
}

async function openCache({ cacheDir, cacheSize }: ResolvedOptions): Promise<CacheFolder | undefined> {
  if (cacheDir === undefined) return undefined;
  await assertFolder('cacheDir', cacheDir);
  return openCacheFolder(resolve(cacheDir), cacheSize);
}

async function assertFolder(option: keyof PipelineOptions, path: string): Promise<void> {
  const problem = await folderProblem(path);
  if (problem !== undefined) throw new PipelineOptionError(option, `"${path}": ${problem}`);
}

/** One that is there may be read-only: its indexes are read. */
function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
