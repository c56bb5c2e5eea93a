import { expect, test } from '@jest/globals';
import { firstOf, firstOfAll, type Row, turnsOf } from '#dist/eval/first-images.js';
import fc from 'fast-check';
import { exchanging } from '../support/exchange.js';

/** Samples of a lane, by whether they have a label. */
const lane = fc.array(fc.boolean(), { maxLength: 12 });

/** What a process with these lanes reads, in batches. */
async function* reading(all: readonly (readonly boolean[])[], own: readonly number[], batch: number): AsyncGenerator<Row<string>[]> {
  const ends = all.map((samples, i) => ({ taken: samples.length, good: own.includes(i) ? samples.length : 0 }));
  const rows = turnsOf(undefined, ends).map(({ round, lane }) => ({
    round,
    lane,
    image: all[lane]?.[round] ? `${lane}:${round}` : undefined,
  }));
  for (let at = 0; at < rows.length; at += batch) yield rows.slice(at, at + batch);
}

async function flat(blocks: AsyncIterable<string[]>): Promise<string[]> {
  const images: string[] = [];
  for await (const block of blocks) images.push(...block);
  return images;
}

test('several processes have between them the images of one, whatever their lanes hold, and all come to the end', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(lane, { minLength: 12, maxLength: 12 }),
      fc.constantFrom(1, 2, 3, 4, 12),
      fc.integer({ min: 1, max: 100 }),
      fc.integer({ min: 1, max: 9 }),
      async (all, size, limit, batch) => {
        const lanes = all.map((_, i) => i);
        const alone = await flat(firstOf(reading(all, lanes, batch), limit));
        expect(alone).toHaveLength(Math.min(limit, all.flat().filter(Boolean).length));
        const shared = exchanging(size).map(({ rank, exchange }) => {
          const own = lanes.filter((i) => i % size === rank);
          return flat(firstOfAll(reading(all, own, batch), { limit, lanes: all.length, exchange }));
        });
        const found = (await Promise.all(shared)).flat();
        expect(found.toSorted()).toEqual(alone.toSorted());
      },
    ),
    { numRuns: 500 },
  );
});

test('turns of a batch are those after the batch before it', () => {
  const after = [
    { taken: 3, good: 2 },
    { taken: 0, good: 0 },
    { taken: 4, good: 4 },
  ];
  expect(
    turnsOf(
      [
        { taken: 2, good: 1 },
        { taken: 0, good: 0 },
        { taken: 1, good: 1 },
      ],
      after,
    ),
  ).toEqual([
    { round: 1, lane: 0 },
    { round: 1, lane: 2 },
    { round: 2, lane: 2 },
    { round: 3, lane: 2 },
  ]);
});
