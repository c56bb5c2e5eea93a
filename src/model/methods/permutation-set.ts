/**
 * The permutations that a jigsaw's classes are (Noroozi & Favaro, ECCV 2016, arXiv 1603.09246, Algorithm 1): far from each other, so that
 * no two classes are nearly one.
 *
 * Each is the permutation, of those that are left, whose Hamming distances to the chosen ones have the largest sum. That sum counts at how
 * many places the chosen ones have another cell, place by place, so the best permutation is the cheapest assignment of cells to places, which
 * a table over sets of cells finds: nine cells have 512 sets, where a search through all 9! = 362,880 permutations costs a second for every
 * few hundred classes.
 */
import { Random, streamId } from '../../common/random.js';
import { CELLS } from './patch-places.js';

/**
 * So many different permutations of 0..cells-1, a function of its arguments. The first is drawn by the seed; of equally far ones the first
 * in lexicographic order is taken, as by an arg max over their list.
 *
 * @param count at most cells!
 */
export function permutationSet(count: number, seed: number, cells = CELLS): readonly Int32Array[] {
  const first = new Random(seed, streamId('jigsaw.permutations')).permutation(cells);
  const chosen = [first];
  const taken = new Set([first.join()]);
  // [place x cells + cell]: how many of the chosen ones have this cell at this place.
  const uses = new Int32Array(cells * cells);
  while (chosen.length < count) {
    for (const [place, cell] of (chosen.at(-1) as Int32Array).entries()) {
      const at = place * cells + cell;
      uses[at] = (uses[at] as number) + 1;
    }
    const next = farthest(uses, cells, taken);
    chosen.push(next);
    taken.add(next.join());
  }
  return chosen;
}

/** The permutation that shares the fewest cells, place by place, with the chosen ones and is none of them. */
function farthest(uses: Int32Array, cells: number, taken: ReadonlySet<string>): Int32Array {
  const rest = leastRest(uses, cells);
  const whole = (1 << cells) - 1;
  const found = new Int32Array(cells);
  /** Fills the places from this one on in lexicographic order, within so many uses. */
  const fill = (place: number, left: number, budget: number): boolean => {
    if (place === cells) return !taken.has(found.join());
    for (let cell = 0; cell < cells; cell++) {
      if ((left & (1 << cell)) === 0) continue;
      const after = left & ~(1 << cell);
      const remains = budget - (uses[place * cells + cell] as number);
      if ((rest[after] as number) > remains) continue;
      found[place] = cell;
      if (fill(place + 1, after, remains)) return true;
    }
    return false;
  };
  // What shares fewer is taken already.
  for (let budget = rest[whole] as number; ; budget++) if (fill(0, whole, budget)) return found;
}

/** By set of cells, as bits: the fewest uses at which they can fill the last places. */
function leastRest(uses: Int32Array, cells: number): Int32Array {
  const least = new Int32Array(1 << cells).fill(2 ** 30);
  least[0] = 0;
  for (let set = 1; set < least.length; set++) {
    let place = cells;
    for (let bits = set; bits > 0; bits &= bits - 1) place--;
    for (let cell = 0; cell < cells; cell++) {
      if ((set & (1 << cell)) === 0) continue;
      const total = (uses[place * cells + cell] as number) + (least[set & ~(1 << cell)] as number);
      if (total < (least[set] as number)) least[set] = total;
    }
  }
  return least;
}
