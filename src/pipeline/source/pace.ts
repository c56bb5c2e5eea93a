/**
 * Finds a body that comes in drops. A timeout for silence never ends one whose server sends a byte now and then.
 *
 * Only time spent waiting for the body counts, so a reader that takes its time does not make a server look slow.
 */

/** At this pace a shard of 140 MB would take ten hours; nobody waits for that, and another connection may be better. */
const LEAST_BYTES_PER_SECOND = 4096;

/** Less has come in `seconds` of waiting than a usable connection brings. */
export class SlowError extends Error {
  constructor(bytes: number, seconds: number) {
    super(`${bytes} bytes came in ${seconds.toFixed(1)} s, less than ${LEAST_BYTES_PER_SECOND} a second`);
    this.name = 'SlowError';
  }
}

/**
 * Passes a body on.
 * @param windowMs waiting after which its pace is judged
 * @throws SlowError after what has come was passed on
 */
export async function* paced(body: AsyncIterable<Uint8Array>, windowMs: number): AsyncGenerator<Uint8Array, void, undefined> {
  const least = (LEAST_BYTES_PER_SECOND * windowMs) / 1000;
  let waitedMs = 0;
  let bytes = 0;
  let since = performance.now();
  for await (const piece of body) {
    waitedMs += performance.now() - since;
    bytes += piece.byteLength;
    yield piece;
    if (bytes >= least) {
      waitedMs = 0;
      bytes = 0;
    } else if (waitedMs >= windowMs) throw new SlowError(bytes, waitedMs / 1000);
    since = performance.now();
  }
}
