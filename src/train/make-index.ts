/** The index of every shard, by which ranks take equal runs of samples and images are numbered: one rank makes what is missing of it. */
import { stat } from 'node:fs/promises';
import { counted } from '../common/counted.js';
import { type PipelineOptions } from '../pipeline/index.js';
import { usableCores } from '../pipeline/machine.js';
import { folderProblem } from '../pipeline/output-place.js';
import { indexShards } from '../pipeline/shard/index-shards.js';
import { listShards, openCacheFolder, parseByteSize } from '../pipeline/source/index.js';
import type { Beginning } from './beginning.js';
import { optionName } from './flags.js';
import type { TrainHooks } from './hooks.js';
import { OptionsError } from './options-error.js';

/** Time between two lines about shards that are read. */
const PROGRESS_MS = 5000;

/** @throws OptionsError for folders that cannot be, Error for shards that cannot be read, the first of them named */
export async function makeIndex(
  { config, specs }: Beginning,
  {
    dir,
    user,
    fields,
    hooks,
    signal,
  }: {
    readonly dir: string;
    /** Who needs it, in words. */
    readonly user: string;
    readonly fields: Pick<PipelineOptions, 'imageField' | 'labelField' | 'classNames'>;
    readonly hooks: TrainHooks;
    readonly signal: AbortSignal | undefined;
  },
): Promise<void> {
  const isFolder = await stat(dir).then(
    (found) => found.isDirectory(),
    () => false,
  );
  // One that is there may be whole, and read-only.
  if (!isFolder) await assertFolder('indexDir', dir);
  if (config.cacheDir !== undefined) await assertFolder('cacheDir', config.cacheDir);
  const stoppable = { ...(signal && { signal }) };
  const locations = await listShards(config.shards, { cwd: specs.folders.shards, ...stoppable });
  let saidAt = performance.now();
  const onShard = (done: number): void => {
    hooks.onWork?.(`indexing shard ${done} of ${locations.length}`);
    if (performance.now() - saidAt < PROGRESS_MS) return;
    saidAt = performance.now();
    hooks.onInfo?.(`index ${done} of ${counted(locations.length, 'shard')}; ${user} need it, and later runs keep it with --index`);
  };
  const { cacheDir, cacheSize } = config;
  const cache = cacheDir !== undefined && (await openCacheFolder(cacheDir, cacheSize === undefined ? undefined : parseByteSize(cacheSize)));
  const { failed } = await indexShards(locations, {
    dir,
    fields,
    ...(cache && { cache }),
    workers: Math.ceil(usableCores()),
    batchSize: config.batch,
    onShard,
    ...stoppable,
  });
  const [first] = failed;
  if (first)
    throw new Error(`${counted(failed.length, 'shard')} cannot be read, and ${user} need the index of every one: ${first.problem}`);
}

async function assertFolder(option: 'indexDir' | 'cacheDir', path: string): Promise<void> {
  const problem = await folderProblem(path);
  if (problem !== undefined) throw new OptionsError(`${optionName(option)}: "${path}": ${problem}`);
}
