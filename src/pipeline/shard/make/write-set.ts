/** Images in the order of the plan -> the shards of a set that are missing. */
import { memberName } from '../member.js';
import { ShardFile, type ShardMember } from '../write.js';
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
        open = { shard: outcome.shard, file: await ShardFile.create(set.path(outcome.shard)), problems: [], keys: new Set(), ...zero() };
      }
      if (outcome.members) await open.file.add(withOwnKey(outcome.members, open.keys));
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
  /** Of its samples. */
  readonly keys: Set<string>;
}

async function finish(set: ShardSet, { file, keys: _keys, ...counts }: OpenShard): Promise<number> {
  const { bytes } = await file.finish();
  await set.add({ ...counts, bytes });
  return counts.shard;
}

/** Archives may hold a name twice: side by side in one shard, two samples of one key would be read as one. */
function withOwnKey(members: readonly ShardMember[], keys: Set<string>): readonly ShardMember[] {
  const { key = '' } = memberName(members[0]?.name ?? '') ?? {};
  let own = key;
  for (let copy = 2; keys.has(own); copy++) own = `${key}-${copy}`;
  keys.add(own);
  return own === key ? members : members.map(({ name, data }) => ({ name: `${own}${name.slice(key.length)}`, data }));
}

const zero = (): Counts => ({ images: 0, bad: 0, labelled: 0, resized: 0 });
