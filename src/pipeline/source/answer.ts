/** One request on the wire and what comes back: an answer whose body is read in pieces, to its end, or not at all. */
import type { Dispatcher } from 'undici';
import { dispatcher, noteAnswer } from './connection.js';
import { paced } from './pace.js';
import { httpLimits } from './retry.js';
import { reasonOf } from './source.js';

export type Headers = Readonly<Record<string, string>>;

export interface RemoteRequest {
  /** Scheme, host and port. */
  readonly origin: string;
  /** Path and query as they go on the wire. */
  readonly path: string;
  readonly headers: Headers;
}

/** An answer without bytes of the object. */
export interface Refusal {
  /** Who refused, after redirects. */
  readonly origin: string;
  readonly status: number;
  readonly headers: Headers;
  /** Its beginning, when it is long. */
  readonly body: string;
}

export interface Answer extends Dispatcher.ResponseData {
  /** Who answered, after redirects. */
  readonly origin: string;
  readonly fields: Headers;
  /** The body, to be read; fails when it stalls. */
  readonly paced: AsyncIterable<Uint8Array>;
}

/** Socket reads are 64 KiB at most, often far less; tar parsing wants large chunks. */
const CHUNK_BYTES = 256 << 10;
/** Read ahead of the consumer; beyond it the socket is paused, and a paused socket does not count as stalled. */
const READ_AHEAD_BYTES = 1 << 20;
/** As much of an error's body as is read. */
const REFUSAL_BYTES = 64 << 10;

/** @param redirects whether they are followed */
export async function send(redirects: boolean, request: RemoteRequest, signal: AbortSignal | undefined): Promise<Answer> {
  const { timeoutMs, headersTimeoutMs } = httpLimits();
  const answer = await dispatcher({ redirects })
    .request({
      ...request,
      method: 'GET',
      signal: signal ?? null,
      headersTimeout: headersTimeoutMs,
      bodyTimeout: timeoutMs,
      highWaterMark: READ_AHEAD_BYTES,
    })
    .catch((error: unknown) => {
      // undici (7.30) explains it by clients that are not used here.
      if (reasonOf(error).startsWith('Redirect loop')) throw new Error('the server redirects in a circle; check the URL');
      throw error;
    });
  noteAnswer(request.origin);
  const fields = Object.fromEntries(
    Object.entries(answer.headers).flatMap(([name, value]) => (typeof value === 'string' ? [[name, value]] : [])),
  );
  return { ...answer, origin: lastOrigin(answer) ?? request.origin, fields, paced: paced(answer.body, timeoutMs) };
}

/** The redirect interceptor keeps the URLs that it has been to. */
function lastOrigin({ context }: Dispatcher.ResponseData): string | undefined {
  const { history } = (context ?? {}) as { readonly history?: readonly URL[] };
  return history?.at(-1)?.origin;
}

/** Ends an answer whose body is not wanted; its error has nobody to reach. */
export function discard(answer: Answer): void {
  answer.body.on('error', () => {}).destroy();
}

/** Reads a short body to its end; what it says, and whether it comes, does not matter. */
export async function drain(answer: Answer): Promise<void> {
  try {
    for await (const _ of answer.paced);
  } catch {
    discard(answer);
  }
}

/** Reads the start of an error's body, which closes the connection if there is more. */
export async function readRefusal(answer: Answer): Promise<Refusal> {
  let body = Buffer.alloc(0);
  for await (const chunk of answer.paced) {
    body = Buffer.concat([body, chunk]);
    if (body.byteLength >= REFUSAL_BYTES) break;
  }
  return { origin: answer.origin, status: answer.statusCode, headers: answer.fields, body: body.toString() };
}

/** The object's size, as RFC 9110 section 15.5.17 and as S3 (error InvalidRange) state it. */
export function sizeInRefusal({ headers, body }: Refusal): number | undefined {
  const size = /^bytes \*\/(\d+)$/.exec(headers['content-range'] ?? '')?.[1] ?? /<ActualObjectSize>(\d+)</.exec(body)?.[1];
  return size === undefined ? undefined : Number(size);
}

/** The body without its first `skip` bytes, in chunks of `CHUNK_BYTES`; what came before an error is yielded before it. */
export async function* chunks(body: AsyncIterable<Uint8Array>, skip: number): AsyncGenerator<Uint8Array, void, undefined> {
  let block = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  let filled = 0;
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const piece of body) {
      let rest = piece.subarray(Math.min(skip, piece.byteLength));
      skip -= piece.byteLength - rest.byteLength;
      while (rest.byteLength > 0) {
        const part = rest.subarray(0, CHUNK_BYTES - filled);
        block.set(part, filled);
        filled += part.byteLength;
        rest = rest.subarray(part.byteLength);
        if (filled < CHUNK_BYTES) continue;
        yield block;
        block = Buffer.allocUnsafeSlow(CHUNK_BYTES);
        filled = 0;
      }
    }
  } catch (error) {
    failure = { error };
  }
  if (filled > 0) yield block.subarray(0, filled);
  if (failure) throw failure.error;
}
