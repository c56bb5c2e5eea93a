import { describe, expect, test } from '@jest/globals';
import { mapInOrder } from '#dist/pipeline/shard/in-order.js';

async function collect<T>(items: AsyncIterable<T>): Promise<{ got: T[]; error?: unknown }> {
  const got: T[] = [];
  try {
    for await (const item of items) got.push(item);
    return { got };
  } catch (error) {
    return { got, error };
  }
}

/** Resolves after as many turns of the event loop. */
async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('mapInOrder', () => {
  test('keeps the order when later items finish first, and never runs more than it may', async () => {
    let running = 0;
    let most = 0;
    const items = Array.from({ length: 40 }, (_, i) => i);
    const results = mapInOrder(items, 3, async (item) => {
      most = Math.max(most, ++running);
      await turns(item % 7 === 0 ? 20 : 1);
      running--;
      return item * 2;
    });
    expect((await collect(results)).got).toEqual(items.map((item) => item * 2));
    expect(most).toBe(3);
  });

  test('takes no more items than its window', async () => {
    let taken = 0;
    function* items() {
      for (;;) yield taken++;
    }
    const results = mapInOrder(items(), 2, async (item) => item);
    await results.next();
    await turns(5);
    expect(taken).toBeLessThanOrEqual(9);
    await results.return();
  });

  test('yields what came before an error of the items, then throws it', async () => {
    const error = new Error('cut off');
    function* items() {
      yield 1;
      yield 2;
      throw error;
    }
    expect(await collect(mapInOrder(items(), 4, async (item) => item))).toEqual({ got: [1, 2], error });
  });

  test('throws the error of an item in its turn', async () => {
    const error = new Error('bad');
    const results = mapInOrder([1, 2, 3], 4, async (item) => {
      if (item === 2) throw error;
      await turns(3);
      return item;
    });
    expect(await collect(results)).toEqual({ got: [1], error });
  });

  test('ends the items when it is left', async () => {
    let ended = false;
    async function* items() {
      try {
        for (let i = 0; ; i++) yield i;
      } finally {
        ended = true;
      }
    }
    for await (const item of mapInOrder(items(), 2, async (item) => item)) if (item === 3) break;
    expect(ended).toBe(true);
  });
});
