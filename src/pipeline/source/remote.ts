/**
 * Reads one HTTP object to its end over connections that drop, stall or refuse.
 *
 *        request from `offset`          status 408 429 5xx, socket error, stall, short body
 *   +-> [Range, If-Match, signature] ----------------------------------------------+
 *   |          | 200/206                                                           v
 *   |     same version? --no--> SourceError "changed while it was read"      pause (backoff,
 *   |          | yes                                                          Retry-After)
 *   |      yield bytes, offset += n -- all there --> done                          |
 *   +------------------------------------------------------------------------------+
 *
 * undici has a RetryHandler of its own, which is not used because (7.30) it drops a weak ETag and asks for none, so two
 * versions of an object are joined without a word; it counts retries over the whole body, so a large shard on a poor
 * line always runs out of them; and it gives up when a server ignores Range. A loop also lets each attempt be signed anew.
 */
import {
  type Answer,
  chunks,
  discard,
  drain,
  type Headers,
  readRefusal,
  type Refusal,
  type RemoteRequest,
  send,
  sizeInRefusal,
} from './answer.js';
import { hasAnswered } from './connection.js';
import { SlowError } from './pace.js';
import { Retries, TransientError, transientStatus } from './retry.js';
import { identityOf } from './identity.js';
import { type FoundShard, SourceError, type OpenOptions } from './source.js';
import { difference, isStrong, type Part, partOf, validatorOf, versionOf, type Version } from './version.js';

/** An object as a backend describes it. */
export interface RemoteObject {
  readonly location: string;
  readonly redirects: boolean;
  /** The request of one attempt, freshly signed; `headers` are to be sent along. */
  request(headers: Headers): Promise<RemoteRequest>;
  /** Says why the server refused and what to do; a `TransientError` asks for another attempt. */
  refused(answer: Refusal): Error;
}

/** An attempt that brings less has got nowhere: a server must not keep us for ever by a byte each time. */
const LEAST_PROGRESS_BYTES = 4096;

/**
 * Streams the object from `start` to before `end`; each byte comes once and all from one version.
 * @param onVersion called with each answer's version; the last one is that of the bytes
 */
export async function* readRemote(
  object: RemoteObject,
  options: OpenOptions,
  onVersion?: (version: Version) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { start = 0, end, signal } = options;
  if (start === end) return;
  const retries = new Retries(object.location, options);
  let offset = start;
  let version: Version | undefined;
  let origin = '';
  for (;;) {
    const before = offset;
    try {
      signal?.throwIfAborted();
      if (offset === start) version = undefined;
      const request = await object.request(rangeHeaders(offset, end, version));
      origin = request.origin;
      const answer = await send(object.redirects, request, signal);
      if (answer.statusCode !== 200 && answer.statusCode !== 206) {
        const refused = await readRefusal(answer);
        const size = refused.status === 416 ? (sizeInRefusal(refused) ?? (await sizeOf(object, options))) : undefined;
        if (size === offset && end === undefined && !version) return;
        throw refusal(object, refused, { version, offset, size, end });
      }
      const found = versionOf(answer.statusCode, answer.fields);
      const part = partOf(answer.statusCode, answer.fields);
      const problem =
        partProblem(answer, part, offset) ?? (version ? difference(version, found) : undefined) ?? tooShort(end ?? offset, found.total);
      if (problem !== undefined) {
        discard(answer);
        throw new SourceError(object.location, problem, { offset });
      }
      version = { ...found, total: found.total ?? version?.total };
      onVersion?.(version);
      reportVersion(object.location, version, options);
      const skip = part ? 0 : offset;
      for await (const chunk of chunks(answer.paced, skip)) {
        const wanted = end === undefined ? chunk : chunk.subarray(0, end - offset);
        offset += wanted.byteLength;
        yield wanted;
        // A server that ignores Range sends what follows too; any other body is read out, so that its socket is used again.
        if (offset === end && !part) return;
      }
      const last = end ?? version.total;
      if (last === undefined || offset === last) return;
      throw new TransientError(`the body ended at byte ${offset} of ${last}`);
    } catch (error) {
      // The last byte came and the connection broke after it.
      if (offset > start && offset === (end ?? version?.total)) return;
      await retries.failed(error, {
        offset,
        progressed: offset - before >= LEAST_PROGRESS_BYTES && !(error instanceof SlowError),
        known: hasAnswered(origin),
      });
    }
  }
}

/** What a status says of an object. */
export function kindOf(status: number): SourceError['kind'] {
  if (status === 404 || status === 410) return 'missing';
  return status === 401 || status === 403 || status === 407 ? 'refused' : undefined;
}

/** Tells the reader's owner which version the bytes are of, when the server says so itself. */
export function reportVersion(location: string, version: Version, { onVersion }: OpenOptions): void {
  const validator = validatorOf(version);
  const { total } = version;
  if (validator !== undefined) onVersion?.({ url: identityOf(location), version: validator, ...(total !== undefined && { bytes: total }) });
}

/** Fetches a small document whole, with the same patience. */
export function fetchText(object: RemoteObject, options: OpenOptions): Promise<string> {
  return fetchOnce(object, {}, options, async (answer) => {
    if (answer.statusCode !== 200) throw refusal(object, await readRefusal(answer), { offset: 0 });
    const parts: Uint8Array[] = [];
    for await (const part of answer.paced) parts.push(part);
    return Buffer.concat(parts).toString();
  });
}

export interface Probed {
  /** What the object is known by: the URL of the request without login and signature. */
  readonly url: string;
  readonly version: Version;
}

/** Asks which version the server has, for the price of one byte. */
export async function probeRemote(object: RemoteObject, options: OpenOptions): Promise<Probed> {
  return fetchOnce(object, { 'accept-encoding': 'identity', range: 'bytes=0-0' }, options, async (answer, { origin, path }) => {
    const url = identityOf(origin + path);
    if (answer.statusCode === 200 || answer.statusCode === 206) {
      const version = versionOf(answer.statusCode, answer.fields);
      // Read out, so that its socket is used again; a server that ignores Range, or takes it its own way, has begun to send all.
      // s3rver announces the first byte of an empty object too, and never sends it.
      if (answer.fields['content-length'] === '1' && version.total !== 0) await drain(answer);
      else discard(answer);
      return { url, version };
    }
    const refused = await readRefusal(answer);
    // Only an empty object has no first byte.
    if (refused.status === 416) return { url, version: { etag: undefined, lastModified: undefined, total: 0 } };
    throw refusal(object, refused, { offset: 0 });
  });
}

/** Bytes of an object whose server has refused a range and did not say, when it says so elsewhere. */
async function sizeOf(object: RemoteObject, options: OpenOptions): Promise<number | undefined> {
  return (await probeRemote(object, options)).version.total;
}

/** A shard as the server has it at this moment. */
export async function askRemote(object: RemoteObject, options: OpenOptions): Promise<FoundShard> {
  const { version } = await probeRemote(object, options);
  return { location: object.location, bytes: version.total, version: validatorOf(version) };
}

async function fetchOnce<T>(
  object: RemoteObject,
  headers: Headers,
  options: OpenOptions,
  use: (answer: Answer, request: RemoteRequest) => Promise<T>,
): Promise<T> {
  const retries = new Retries(object.location, options);
  let origin = '';
  for (;;) {
    try {
      options.signal?.throwIfAborted();
      const request = await object.request(headers);
      origin = request.origin;
      return await use(await send(object.redirects, request, options.signal), request);
    } catch (error) {
      await retries.failed(error, { offset: 0, progressed: false, known: hasAnswered(origin) });
    }
  }
}

function rangeHeaders(offset: number, end: number | undefined, version: Version | undefined): Headers {
  return {
    // A compressed transfer would make offsets mean something else.
    'accept-encoding': 'identity',
    ...((offset > 0 || end !== undefined) && { range: `bytes=${offset}-${end === undefined ? '' : end - 1}` }),
    ...(offset > 0 && version?.etag !== undefined && isStrong(version.etag) && { 'if-match': version.etag }),
  };
}

function partProblem(answer: Answer, part: Part | undefined, offset: number): string | undefined {
  if (part ? part.first === offset : answer.statusCode === 200) return undefined;
  const range = answer.fields['content-range'] ?? '';
  return `asked for bytes from ${offset}, the server sent Content-Range "${range}"; it cannot be read in parts`;
}

function tooShort(offset: number, total: number | undefined): string | undefined {
  return total !== undefined && offset > total
    ? `asked for byte ${offset} of an object of ${total} bytes; it is shorter than its index says`
    : undefined;
}

interface Position {
  /** Present when bytes of this version have been delivered. */
  readonly version?: Version | undefined;
  readonly offset: number;
  /** Of the object, from an answer 416. */
  readonly size?: number | undefined;
  /** Byte before which reading was to stop. */
  readonly end?: number | undefined;
}

function refusal(object: RemoteObject, answer: Refusal, { version, offset, size, end = offset }: Position): Error {
  const { status, headers } = answer;
  if (version && (status === 412 || status === 416)) {
    const problem = difference(version, {
      ...version,
      etag: headers.etag ?? 'another',
      total: size ?? version.total,
    });
    return new SourceError(object.location, problem ?? 'object changed while it was read', {
      offset,
    });
  }
  const short = tooShort(end, size);
  if (short !== undefined) return new SourceError(object.location, short, { offset });
  return transientStatus(status, headers['retry-after']) ?? object.refused(answer);
}
