/** What every source of shard bytes takes and how it fails. */
import { inspect } from 'node:util';
import { codeOf } from '../../common/error-code.js';
import { identityOf, withoutSecrets } from './identity.js';
import { printable } from '../../common/printable.js';

/** One failed attempt that will be repeated. */
export interface RetryEvent {
  /** The shard's location, without login and signature. */
  readonly url: string;
  /** Byte of the shard from which reading goes on. */
  readonly offset: number;
  /** Failures in a row without a byte of progress, from 1. */
  readonly attempt: number;
  /** The error in words. */
  readonly reason: string;
  /** Pause before the next attempt, milliseconds. */
  readonly waitMs: number;
}

/** Which version of a remote shard an answer belongs to. */
export interface VersionEvent {
  /** The shard's location, without login and signature. */
  readonly url: string;
  /** Its validators, as text. */
  readonly version: string;
  /** Bytes of the whole object, when the server says. */
  readonly bytes?: number;
}

/** What became of one read of a remote shard at the cache folder. */
export interface CacheEvent {
  /**
   * `hit`: read from the folder; `stored`: fetched, and in the folder from then on; `skipped`: fetched and not kept, for a
   * reason that is no fault; `failed`: fetched, but the folder or its disk did not do its part.
   */
  readonly kind: 'hit' | 'stored' | 'skipped' | 'failed';
  /** The shard's location, without login and signature. */
  readonly url: string;
  /** In words, of what was not kept. */
  readonly reason?: string;
}

/** A folder that keeps remote shards; see `openCacheFolder`. Plain data, so that it can be sent to workers. */
export interface CacheFolder {
  /** Absolute path. */
  readonly dir: string;
  /** Bytes the folder may hold; without one it may fill all but a tenth of what the disk has for it. */
  readonly limit?: number;
  /** Names the temporary files of one pipeline. */
  readonly run: string;
}

export interface OpenOptions {
  /** First byte to read; 0 unless told. The shard's size is allowed and yields nothing. */
  readonly start?: number;
  /** Byte before which to stop, at most the shard's size; to its end unless told. */
  readonly end?: number;
  /** Ends the read; the iteration then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called before each pause of a source that repeats a failed request. */
  readonly onRetry?: (event: RetryEvent) => void;
  /** Called for each answer from which bytes are taken. */
  readonly onVersion?: (event: VersionEvent) => void;
  /** Remote shards are read by way of this folder. */
  readonly cache?: CacheFolder;
  /** Called when it is known what became of a read at the cache folder: never for one that was left early. */
  readonly onCache?: (event: CacheEvent) => void;
}

/** A shard as it was found, before any of it is read. */
export interface FoundShard {
  /** Absolute path or URL. */
  readonly location: string;
  /** Its length, where that is known. */
  readonly bytes?: number | undefined;
  /** Text that changes with its content, where there is one: the time of a file, the ETag or Last-Modified of an object. */
  readonly version?: string | undefined;
}

export interface ListOptions extends Pick<OpenOptions, 'signal' | 'onRetry'> {
  /** Folder that relative paths start from; the working directory unless told. */
  readonly cwd?: string;
  /** Names of shards that need not be there. */
  readonly mayBeMissing?: ReadonlySet<string>;
}

/** A shard that cannot be found, opened or read to its end; the message says what to do. */
export class SourceError extends Error {
  /** Path or URL of the shard, or the specification that named it, without login and signature. */
  readonly location: string;
  /** Byte of the shard at which reading stopped, when it had begun. */
  readonly offset: number | undefined;
  /**
   * Whether there is no such shard, its server wants another login, or the specification cannot name one; undefined for what else may be
   * wrong.
   */
  readonly kind: 'missing' | 'refused' | 'malformed' | undefined;

  constructor(location: string, problem: string, { offset, kind, cause }: SourceErrorOptions = {}) {
    const shown = identityOf(location);
    super(printable(`${shown}: ${withoutSecrets(problem)}`), { cause: harmless(cause) });
    this.name = 'SourceError';
    this.location = shown;
    this.offset = offset;
    this.kind = kind;
  }
}

export interface SourceErrorOptions {
  readonly offset?: number;
  readonly kind?: SourceError['kind'];
  readonly cause?: unknown;
}

/** The cause without what it knows of a login: Node's and undici's errors carry the URL that they were given in properties, which inspection prints. */
function harmless(cause: unknown): unknown {
  const text = inspect(cause);
  if (withoutSecrets(text) === text) return cause;
  const code = codeOf(cause);
  return Object.assign(new Error(withoutSecrets(reasonOf(cause))), { stack: withoutSecrets(text), ...(code !== undefined && { code }) });
}

/** What a caught value says, with its code when the message does not have it. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = codeOf(error);
  const message = error.message || error.name;
  return code === undefined || message.includes(code) ? message : `${message} (${code})`;
}
