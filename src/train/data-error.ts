/** Data that fail for good: which shard it was, and what to do about it. */
import { shellWord } from '../common/shell-word.js';
import { shardName } from '../pipeline/source/identity.js';
import { reasonOf } from '../pipeline/source/source.js';

/** The batches ended before their time. Whoever trains saves what was computed, and says so between the message and the remedy. */
export class DataError extends Error {
  override name = 'DataError';
  /** Empty when nobody knows one. */
  readonly remedy: string;

  /**
   * @param shards locations, one of which the message of `cause` names if a shard is to blame
   * @param run folder of the run that can be continued, if there is one
   */
  constructor(cause: unknown, { shards, run }: { readonly shards: readonly string[]; readonly run: string | undefined }) {
    super(reasonOf(cause), { cause });
    const [shard] = shards.filter((location) => this.message.includes(location)).toSorted((a, b) => b.length - a.length);
    const goOn = run === undefined ? '' : `continue with npx detco train --resume ${shellWord(run)}`;
    if (shard === undefined) this.remedy = goOn;
    else {
      const mend = `mend the shard (detco verify --shards ${shellWord(shard)} tells what is wrong with it)`;
      const skip = `--skip-shards ${shellWord(shardName(shard))}`;
      this.remedy =
        goOn === '' ? `${mend}, or leave it out with ${skip}` : `${mend}, then ${goOn}, or leave it out by adding ${skip} to that`;
    }
  }
}

/** The batches of `source`, whose failure is a DataError; `signal` ending them is none. */
export async function* withDataErrors<Batch>(
  source: AsyncIterable<Batch>,
  { signal, ...about }: { readonly shards: readonly string[]; readonly run: string; readonly signal: AbortSignal | undefined },
): AsyncGenerator<Batch> {
  try {
    yield* source;
  } catch (error) {
    throw signal?.aborted && error === signal.reason ? error : new DataError(error, about);
  }
}
