/** Which failures of a request are worth repeating, how often, and after what pause. */
import { setTimeout as sleep } from 'node:timers/promises';
import { SlowError } from './pace.js';
import { identityOf } from './identity.js';
import { codeOf } from '../../common/error-code.js';
import { reasonOf, SourceError, type OpenOptions } from './source.js';

/** Limits of HTTP reading; every one can be set in the environment. */
const DEFAULTS = Object.freeze({
  /** Milliseconds without a connection, an answer or a byte of the body, or with hardly a byte, after which a request has stalled. */
  DETCO_HTTP_TIMEOUT_MS: 20_000,
  /** Failures in a row without a byte of progress before reading gives up; with the pauses below about 80 s. */
  DETCO_HTTP_RETRIES: 10,
});

/**
 * Some servers read an object whole before they answer: `rclone serve s3` takes its MD5 for the ETag. When 64 lanes begin at once, a
 * disk of 100 MB/s has read their shards of 140 MB after 90 s. A connection that has broken meanwhile is found so much later.
 */
const TIMEOUTS_FOR_HEADERS = 6;

export interface HttpLimits {
  readonly timeoutMs: number;
  /** For all headers of an answer to come, from the request on. */
  readonly headersTimeoutMs: number;
  readonly retries: number;
}

/** Reads the limits at the time of the call. */
export function httpLimits(): HttpLimits {
  const timeoutMs = setting('DETCO_HTTP_TIMEOUT_MS', 1);
  return {
    timeoutMs,
    headersTimeoutMs: timeoutMs * TIMEOUTS_FOR_HEADERS,
    retries: setting('DETCO_HTTP_RETRIES', 0),
  };
}

function setting(name: keyof typeof DEFAULTS, least: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return DEFAULTS[name];
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new RangeError(`${name}="${text}" is not usable; expected a whole number from ${least} up, or unset it for ${DEFAULTS[name]}`);
}

/** First pause and longest pause, milliseconds; it doubles in between. */
const FIRST_WAIT_MS = 200;
const LONGEST_WAIT_MS = 30_000;
/** A server that asks for more patience than this is down for this run. */
const LONGEST_RETRY_AFTER_MS = 120_000;
/** A host that has never answered is more likely misspelt than out of order. */
const RETRIES_OF_UNKNOWN_HOST = 2;

const TRANSIENT_CODES: ReadonlySet<string> = new Set([
  'EAI_AGAIN',
  'ECONNABORTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EHOSTDOWN',
  'EHOSTUNREACH',
  'ENETDOWN',
  'ENETRESET',
  'ENETUNREACH',
  'ENOTFOUND',
  'EPIPE',
  'ETIMEDOUT',
  'ERR_STREAM_PREMATURE_CLOSE',
  'HPE_INVALID_EOF_STATE',
  'UND_ERR_BODY_TIMEOUT',
  'UND_ERR_CONNECT_TIMEOUT',
  'UND_ERR_HEADERS_TIMEOUT',
  'UND_ERR_INFO',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'UND_ERR_SOCKET',
]);

const TRANSIENT_STATUSES: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** A failure that the same request may not meet again. */
export class TransientError extends Error {
  /** What the server asked for in Retry-After. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'TransientError';
    this.retryAfterMs = retryAfterMs;
  }
}

/** @returns the error to repeat for a status that calls for it, else undefined */
export function transientStatus(status: number, retryAfter: string | undefined): TransientError | undefined {
  return TRANSIENT_STATUSES.has(status) ? new TransientError(`the server answered ${status}`, parseRetryAfter(retryAfter)) : undefined;
}

/** Seconds or an HTTP date (RFC 9110 section 10.2.3), in milliseconds from now. */
function parseRetryAfter(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const ms = /^\d+$/.test(value.trim()) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isNaN(ms) ? undefined : Math.min(Math.max(ms, 0), LONGEST_RETRY_AFTER_MS);
}

/** Counts failures in a row, pauses between them, and turns the one too many into a `SourceError`. */
export class Retries {
  readonly #location: string;
  readonly #options: OpenOptions;
  readonly #limit = httpLimits().retries;
  #failures = 0;

  constructor(location: string, options: OpenOptions) {
    this.#location = location;
    this.#options = options;
  }

  /**
   * Returns when it is time to try again.
   * @param progressed whether the failed attempt got anywhere: the count starts anew
   * @param known whether the host has answered before
   * @throws the signal's reason, or SourceError when the failure is final
   */
  async failed(
    error: unknown,
    { offset, progressed, known }: { readonly offset: number; readonly progressed: boolean; readonly known: boolean },
  ): Promise<void> {
    const { signal, onRetry } = this.#options;
    signal?.throwIfAborted();
    if (error instanceof SourceError) throw error;
    if (!isTransient(error)) throw new SourceError(this.#location, reasonOf(error) + finalRemedy(error), { offset, cause: error });
    this.#failures = progressed ? 1 : this.#failures + 1;
    const limit = known ? this.#limit : Math.min(this.#limit, RETRIES_OF_UNKNOWN_HOST);
    if (this.#failures > limit) {
      const problem = `stopped at byte ${offset} after ${this.#failures} failures in a row, the last: ${reasonOf(error)}; ${remedy(error, known)}`;
      throw new SourceError(this.#location, problem, { offset, cause: error });
    }
    const asked = error instanceof TransientError ? error.retryAfterMs : undefined;
    const waitMs = asked === undefined ? backoffMs(this.#failures) : Math.ceil(asked * (1 + Math.random() / 10));
    onRetry?.({
      url: identityOf(this.#location),
      offset,
      attempt: this.#failures,
      reason: reasonOf(error),
      waitMs,
    });
    try {
      await sleep(waitMs, undefined, { ...(signal && { signal }) });
    } catch (interrupted) {
      signal?.throwIfAborted();
      throw interrupted;
    }
  }
}

function isTransient(error: unknown): boolean {
  if (error instanceof TransientError || error instanceof SlowError) return true;
  return TRANSIENT_CODES.has(codeOf(error) ?? '') || TRANSIENT_STATUSES.has(proxyStatus(error) ?? 0);
}

/** What a proxy answered that was to open a tunnel (undici 7.30 says it in words only). */
function proxyStatus(error: unknown): number | undefined {
  const status = /^Proxy response \((\d{3})\)/.exec(reasonOf(error))?.[1];
  return status === undefined ? undefined : Number(status);
}

function finalRemedy(error: unknown): string {
  if (/CERT|SELF_SIGNED/.test(codeOf(error) ?? '')) return '; if you trust the server, put its CA into NODE_EXTRA_CA_CERTS';
  const status = proxyStatus(error);
  if (status === undefined) return '';
  return status === 407
    ? '; the proxy wants a login: put user:password@ before its host in HTTP_PROXY and HTTPS_PROXY'
    : '; the proxy of HTTP_PROXY and HTTPS_PROXY refuses: name the host in NO_PROXY to go without';
}

function remedy(error: unknown, known: boolean): string {
  if (codeOf(error) === 'UND_ERR_HEADERS_TIMEOUT') {
    const seconds = httpLimits().headersTimeoutMs / 1000;
    return `the server takes requests and does not answer within ${seconds} s: check that it runs, or raise DETCO_HTTP_TIMEOUT_MS (headers may take ${TIMEOUTS_FOR_HEADERS} times as long)`;
  }
  return known
    ? 'check the network and the server, or raise DETCO_HTTP_RETRIES'
    : 'the host has never answered: check its name and port, and that it runs';
}

/** Between half and all of a doubling pause: many readers that fail together must not come back together. */
function backoffMs(failures: number): number {
  return Math.round(Math.min(FIRST_WAIT_MS * 2 ** (failures - 1), LONGEST_WAIT_MS) * (0.5 + Math.random() / 2));
}
