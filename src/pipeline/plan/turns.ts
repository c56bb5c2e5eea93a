/**
 * Where in the epoch a lane's sample goes. Lanes take turns: round k holds the k-th good sample of every lane that
 * still has one, in lane order; a lane that has run dry drops out.
 *
 *   lane 0   a0 a1 a2             round 0   a0 b0 c0
 *   lane 1   b0                   round 1   a1 c1
 *   lane 2   c0 c1          ->    round 2   a2
 *
 * A place is known as soon as every lane has either reached that round or run dry, long before lanes are read to the
 * end, so workers can find it for themselves while the consumer's thread is busy.
 */

/** What is known of a lane: good samples found so far, and whether that is all of them. */
export interface LaneProgress {
  readonly ready: number;
  readonly dry: boolean;
}

/**
 * Place of sample `k` of lane `lane` in the epoch, from 0; or the number of a lane that must be known further first,
 * as -1 - number.
 */
export function turnOf(lane: number, k: number, lanes: number, progress: (lane: number) => LaneProgress): number {
  let place = 0;
  for (let other = 0; other < lanes; other++) {
    const turns = other < lane ? k + 1 : k;
    const { ready, dry } = progress(other);
    if (ready >= turns) place += turns;
    else if (dry) place += ready;
    else return -1 - other;
  }
  return place;
}
