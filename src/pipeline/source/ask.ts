/** Asks for every shard before any is read, so that a hole in a numbered range is found at the start and not hours later. */
import { setMaxListeners } from 'node:events';
import { openFilesLimit } from '../machine.js';
import { askShard, isRemote } from './index.js';
import { identityOf } from './identity.js';
import { type FoundShard, type OpenOptions, SourceError } from './source.js';

export interface AskOptions extends Pick<OpenOptions, 'signal' | 'onRetry'> {
  /** Whether servers are asked; files are looked at in any case. */
  readonly remote: boolean;
  /** Of several ranks each asks for its share. */
  readonly rank: number;
  readonly worldSize: number;
  /** Ordinals of shards that are not asked for. */
  readonly skipped?: ReadonlySet<number>;
  /** Called after each answer of a server. */
  readonly onAnswer?: (progress: { readonly asked: number; readonly total: number }) => void;
}

/**
 * Questions under way at the same time. At 50 ms a question 10,000 shards take 10 s; S3 allows 5500 a second for each prefix, and
 * servers of one's own have few hundreds of connections.
 */
const PARALLEL = 64;
/** Share of the files that the process may have open; the rest is for its threads and the modules that they load. */
const OPEN_FILES = 0.25;
/** So many suit any limit that Node starts under. */
const FEW = 8;
/** Missing shards that are named. */
const NAMED = 5;

/**
 * @returns the shards with what is known of them: that of a listing, or of an answer
 * @throws SourceError that counts and names all that are missing, or says why one cannot be reached
 */
export async function askShards(found: readonly FoundShard[], options: AskOptions): Promise<FoundShard[]> {
  const { signal, remote, rank, worldSize, skipped, onRetry, onAnswer } = options;
  const known = [...found];
  const unknown = found.flatMap(({ location, bytes, version }, i) => {
    if ((bytes !== undefined && version !== undefined) || skipped?.has(i)) return [];
    const server = isRemote(location);
    return server && (!remote || i % worldSize !== rank) ? [] : [{ i, location, server }];
  });
  const total = unknown.filter(({ server }) => server).length;
  const missing = new Map<number, SourceError>();
  const failed = new AbortController();
  const stop = signal ? AbortSignal.any([signal, failed.signal]) : failed.signal;
  // Each question listens.
  setMaxListeners(0, stop);
  const asking = { signal: stop, ...(onRetry && { onRetry }) };
  let next = 0;
  let asked = 0;
  const ask = async (): Promise<void> => {
    for (let at = unknown[next++]; at; at = unknown[next++]) {
      try {
        known[at.i] = await askShard(at.location, asking);
      } catch (error) {
        if (!(error instanceof SourceError && error.kind === 'missing')) {
          // What keeps one from being reached keeps others, and each would be tried for a while.
          failed.abort(error);
          throw error;
        }
        missing.set(at.i, error);
      }
      if (at.server) onAnswer?.({ asked: ++asked, total });
    }
  };
  await Promise.allSettled(Array.from({ length: parallel(unknown.length) }, ask));
  signal?.throwIfAborted();
  failed.signal.throwIfAborted();
  if (missing.size > 0) throw missingShards(found, missing);
  return known;
}

function parallel(questions: number): number {
  const most = Math.min(PARALLEL, questions);
  // To look up the limit takes longer than a question.
  return most <= FEW ? most : Math.max(FEW, Math.min(most, Math.floor(OPEN_FILES * (openFilesLimit() ?? Infinity))));
}

function missingShards(found: readonly FoundShard[], missing: ReadonlyMap<number, SourceError>): SourceError {
  const places = [...missing.keys()].toSorted((a, b) => a - b);
  const [first = 0] = places;
  const error = missing.get(first);
  if (error && found.length === 1) return error;
  const location = found[first]?.location ?? '';
  if (missing.size === 1) {
    const reason = error?.message.replace(`${identityOf(location)}: `, '') ?? '';
    return new SourceError(location, `${reason}; it is the only one missing of ${found.length} shards: ${REMEDY}`, {
      kind: 'missing',
      cause: error,
    });
  }
  const names = places.slice(0, NAMED).map((place) => identityOf(found[place]?.location ?? ''));
  const rest = missing.size > NAMED ? ` and ${missing.size - NAMED} more` : '';
  const problem = `${missing.size} of ${found.length} shards are missing: ${names.join(', ')}${rest}; ${REMEDY}`;
  return new SourceError(location, problem, { kind: 'missing', cause: error });
}

const REMEDY =
  'put them there, leave them out (skipShards, detco train --skip-shards), or name only what is there, as in train-{{000..011},{013..146}}.tar';
