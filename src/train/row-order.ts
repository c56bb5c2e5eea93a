/**
 * Which images of a batch are normalised together, and what number each of them has in it.
 *
 * Lanes take turns, so of a batch that `size` ranks make together rank r has the images r, r + size, ... of the one that a single process
 * would make. Where batch norm groups are `interleaved`, every n-th image of a batch is of one group in a single process too, and its
 * losses are those of any number of ranks that divides the groups:
 *
 *   the whole batch   0 1 2 3 4 5 6 7       4 groups: 0 4 | 1 5 | 2 6 | 3 7
 *   2 ranks           0 2 4 6   1 3 5 7     2 groups each: 0 4 | 2 6     1 5 | 3 7
 */
export interface RowOrder {
  /** Of this rank's images as they come, the one at each place. Undefined where they stay. */
  readonly order: Int32Array | undefined;
  /** The number in the whole batch of the image at each place, those of rank 0 first. Undefined where it is the place. */
  readonly rows: Int32Array | undefined;
}

export const AS_THEY_COME: RowOrder = { order: undefined, rows: undefined };

/**
 * @param share images of each rank
 * @param groups batch norm groups of each rank that are interleaved; 1 where images are to stay as they come
 */
export function rowOrder(share: number, groups: number, size: number): RowOrder {
  if (groups === 1 && size === 1) return AS_THEY_COME;
  const length = share / groups;
  const order = Int32Array.from({ length: share }, (_, place) => (place % length) * groups + Math.floor(place / length));
  const rows = Int32Array.from({ length: size * share }, (_, place) => (order[place % share] as number) * size + Math.floor(place / share));
  return { order: groups === 1 ? undefined : order, rows };
}
