/** Images in the order of the plan -> the shards of a set that are missing. */
import type { ShardMember } from '../write.js';
import { ShardFile } from '../write.js';
import type { BadImage, Counts, ShardSet } from './set.js';

/** What became of one image. */
export interface Outcome {
  /** Number of the shard it belongs to. */
  readonly shard: number;
  /** Its files; none when it is bad. */
  readonly members?: readonly ShardMember[];
  readonly bad?: BadImage;
  readonly labelled: boolean;
  readonly resized: boolean;
}

/**
 * Writes shard after shard. The outcomes of a shard come together, and only those of missing shards come.
 * @throws what the file system says; the signal's reason. The unfinished shard is removed then.
 */
export async function writeShards(
  set: ShardSet,
  outcomes: AsyncIterable<Outcome>,
  { signal, onImage }: { readonly signal?: AbortSignal; readonly onImage?: () => void } = {},
): Promise<void> {
  let open: OpenShard | undefined;
  try {
    for await (const outcome of outcomes) {
      signal?.throwIfAborted();
      if (open?.shard !== outcome.shard) {
        if (open) await finish(set, open);
        open = { shard: outcome.shard, file: await ShardFile.create(set.path(outcome.shard)), problems: [], ...zero() };
      }
      if (outcome.members) await open.file.add(outcome.members);
      if (outcome.bad) open.problems.push(outcome.bad);
      open.images += Number(!outcome.bad);
      open.bad += Number(outcome.bad !== undefined);
      open.labelled += Number(outcome.labelled);
      open.resized += Number(outcome.resized);
      onImage?.();
    }
    if (open) await finish(set, open);
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

async function finish(set: ShardSet, { file, ...counts }: OpenShard): Promise<void> {
  const { bytes } = await file.finish();
  await set.add({ ...counts, bytes });
}

const zero = (): Counts => ({ images: 0, bad: 0, labelled: 0, resized: 0 });
