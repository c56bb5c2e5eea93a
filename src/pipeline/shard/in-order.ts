/** Bounded concurrency that keeps the order. */

/** Finished results may wait for an older one, so that a large image does not idle the others. */
const WINDOW = 4;

/**
 * Runs `apply` on up to `active` items at once and yields the results in the order of the items. When the items end with
 * an error, the results of those before it come first.
 */
export async function* mapInOrder<Item, Result>(
  items: AsyncIterable<Item> | Iterable<Item>,
  active: number,
  apply: (item: Item) => Promise<Result>,
): AsyncGenerator<Result, void, undefined> {
  const waiting: (() => void)[] = [];
  let free = active;
  const limited = async (item: Item): Promise<Result> => {
    if (free > 0) free--;
    else await new Promise<void>((resolve) => waiting.push(resolve));
    try {
      return await apply(item);
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
  const source = iterate(items);
  const begun: Promise<Result>[] = [];
  let failure: { readonly error: unknown } | undefined;
  try {
    for (;;) {
      const next = await source.next().catch((error: unknown) => {
        failure = { error };
        return undefined;
      });
      if (!next || next.done) break;
      const result = limited(next.value);
      // Met when its turn comes; a failure before that must not count as unhandled.
      result.catch(() => undefined);
      begun.push(result);
      const oldest = begun.length >= WINDOW * active ? begun.shift() : undefined;
      if (oldest) yield await oldest;
    }
    for (let oldest = begun.shift(); oldest; oldest = begun.shift()) yield await oldest;
    if (failure) throw failure.error;
  } finally {
    await source.return();
    await Promise.allSettled(begun);
  }
}

async function* iterate<Item>(items: AsyncIterable<Item> | Iterable<Item>): AsyncGenerator<Item, void, undefined> {
  yield* items;
}
