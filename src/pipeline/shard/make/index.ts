/** Images as they come -> shards: the story of `detco shard`. */
import { isAbsolute, join, relative, resolve, sep } from 'node:path';
import { identityOf } from '../../source/identity.js';
import { isFullDisk } from '../../../common/error-code.js';
import { reasonOf } from '../../source/source.js';
import { shardPattern } from '../write.js';
import { fromArchives } from './from-archives.js';
import { fromList } from './from-list.js';
import { listFolder, type LooseImages, readImageList } from './listed.js';
import type { MakeShardsOptions } from './options.js';
import { ShardPlanError } from './plan.js';
import { type ArchiveLeftOut, type Counts, DIGITS, type MadeShards } from './set.js';
import { findSource } from './source.js';
import { quoted } from '../../../common/quoted.js';

export { ShardPlanError } from './plan.js';
export type { MakeShardsOptions, ShardingProgress } from './options.js';
export type { BadImage } from './set.js';

export interface ShardingReport extends Counts {
  readonly shards: number;
  /** Names all shards, such as `train-{000000..000146}.tar`. */
  readonly pattern: string;
  /** Bytes of the shards. */
  readonly bytes: number;
  /** Names in `classes.txt`. */
  readonly classes: number;
  /** Files of a folder that are no images by their name. */
  readonly ignored: number;
  readonly loose?: LooseImages;
  /** Members of archives that are no images of the set, by the reason. */
  readonly leftOut: readonly ArchiveLeftOut[];
  /** Shards that an earlier run had written. */
  readonly kept: number;
}

/**
 * Writes the images of a source as WebDataset shards. The bytes depend on the source and the options alone; a run that
 * was killed goes on when it is started again with the same ones.
 * @throws ShardPlanError for a source or a folder that cannot be used; ShardExistsError for a folder with other shards;
 * SourceError, ShardError for archives that cannot be read; the signal's reason
 */
export async function makeShards(options: MakeShardsOptions): Promise<ShardingReport> {
  const { dir, signal } = options;
  try {
    const { kind, path } = await findSource(options.source);
    if (kind === 'folder' && isWithin(dir, path)) {
      throw new ShardPlanError(`${quoted(dir)} lies within the source; expected another place, or it would be read as a class`);
    }
    if (kind === 'tars') return report(await fromArchives(options, path), path);
    return report(await fromList(options, path, kind === 'folder' ? await listFolder(path, signal) : await readImageList(path)), path);
  } catch (error) {
    signal?.throwIfAborted();
    if (!isFullDisk(error)) throw error;
    const remedy = 'free some and give the same command again, it goes on';
    throw new Error(`no space left in ${quoted(dir)}; ${remedy} (${reasonOf(error)})`, { cause: error });
  }
}

function report({ set, classes, kept, ignored, loose, leftOut }: MadeShards, source: string): ShardingReport {
  const counts = set.counts();
  if (counts.images === 0) {
    throw new Error(
      `no image of ${counts.bad} in ${quoted(identityOf(source))} can be read; ${join(set.dir, 'bad-samples.jsonl')} says why`,
    );
  }
  const shards = set.records.size;
  let bytes = 0;
  for (const record of set.records.values()) bytes += record.bytes;
  const pattern = shardPattern(set.plan.prefix, shards, DIGITS);
  return { shards, pattern, bytes, ...counts, classes: classes.length, kept, ignored, ...(loose && { loose }), leftOut };
}

function isWithin(dir: string, folder: string): boolean {
  const path = relative(folder, resolve(dir));
  return !isAbsolute(path) && path.split(sep)[0] !== '..';
}
