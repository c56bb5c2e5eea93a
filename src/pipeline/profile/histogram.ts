/** Durations in logarithmic buckets: a quantile is right to within 9 %, from a microsecond to an hour. */

const PER_OCTAVE = 4;
/** 2^32 microseconds is more than an hour. */
export const BUCKETS = 32 * PER_OCTAVE;

/** Bucket of a duration; the first takes everything up to a microsecond, the last everything from an hour. */
export function bucketOf(ms: number): number {
  const place = Math.floor(PER_OCTAVE * Math.log2(1000 * ms));
  return place > 0 ? Math.min(place, BUCKETS - 1) : 0;
}

/** Lower bound of a bucket, milliseconds; of bucket `BUCKETS` the upper bound of the last. */
export function bucketStart(bucket: number): number {
  return 2 ** (bucket / PER_OCTAVE) / 1000;
}

/** The duration below which a share `q` of the visits stayed, milliseconds; 0 of none. */
export function quantile(histogram: readonly number[], q: number): number {
  const all = histogram.reduce((sum, count) => sum + count, 0);
  let below = 0;
  for (const [bucket, count] of histogram.entries()) {
    below += count;
    if (count > 0 && below >= q * all) return bucketStart(bucket + 0.5);
  }
  return 0;
}
