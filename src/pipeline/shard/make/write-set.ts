/** Images in the order of the plan -> the shards of a set that are missing. */
import { ShardFile } from '../write.js';
import type { PreparedSample } from './image.js';
import type { BadImage, Counts, ShardSet } from './set.js';

/** What became of one image, and the number of the shard it belongs to. */
export interface Outcome extends PreparedSample {
  readonly shard: number;
}

/**
 * Writes shard after shard. The outcomes of a shard come together, and only those of missing shards come.
 * @throws what the file system says; the signal's reason. The unfinished shard is removed then.
 */
export async function writeShards(
  set: ShardSet,
  outcomes: AsyncIterable<Outcome>,
  {
    signal,
    onImage,
    onShard = async () => {},
  }: { readonly signal?: AbortSignal; readonly onImage?: () => void; readonly onShard?: (shard: number) => Promise<void> } = {},
): Promise<void> {
  let open: OpenShard | undefined;
  try {
    for await (const outcome of outcomes) {
      signal?.throwIfAborted();
      if (open?.shard !== outcome.shard) {
        if (open) await finish(set, open).then(onShard);
        open = { shard: outcome.shard, file: await ShardFile.create(set.path(outcome.shard)), problems: [], ...zero() };
      }
      if (outcome.members) await open.file.add(outcome.members);
      if (outcome.bad) open.problems.push(outcome.bad);
      open.images += Number(!outcome.bad);
      open.bad += Number(outcome.bad !== undefined);
      open.labelled += Number((outcome.members?.length ?? 0) > 1);
      open.resized += Number(outcome.resized);
      onImage?.();
    }
    if (open) await finish(set, open).then(onShard);
  } finally {
    await open?.file[Symbol.asyncDispose]();
  }
}

type Mutable<T> = { -readonly [Field in keyof T]: T[Field] };

interface OpenShard extends Mutable<Counts> {
  readonly shard: number;
  readonly file: ShardFile;
  readonly problems: BadImage[];
}

async function finish(set: ShardSet, { file, ...counts }: OpenShard): Promise<number> {
  const { bytes } = await file.finish();
  await set.add({ ...counts, bytes });
  return counts.shard;
}

const zero = (): Counts => ({ images: 0, bad: 0, labelled: 0, resized: 0 });
