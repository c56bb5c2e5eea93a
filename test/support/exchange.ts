/** Processes of a test that hear of each other when all have spoken. */
import type { ImageShare } from '#dist/eval/index.js';

/** What each of `size` processes is given. */
export function exchanging(size: number): readonly ImageShare[] {
  let spoken: { readonly said: unknown; readonly hear: (all: unknown[]) => void }[] = [];
  const exchange = (said: unknown, rank: number): Promise<unknown[]> =>
    new Promise((hear) => {
      spoken[rank] = { said, hear };
      if (Object.keys(spoken).length < size) return;
      const all = spoken;
      spoken = [];
      for (const one of all) one.hear(all.map((other) => other.said));
    });
  return Array.from({ length: size }, (_, rank) => ({ rank, size, exchange: <T>(said: T) => exchange(said, rank) as Promise<T[]> }));
}
