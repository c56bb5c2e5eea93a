/** Memory for decoding: who waits, who goes beyond the share, and that nobody waits for ever. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Claim, DecodeRoom } from '#dist/pipeline/worker/decode-room.js';

/** Lets promises that are settled be noticed. */
const turnOfTheLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

async function granted(take: Promise<void>): Promise<boolean> {
  let done = false;
  void take.then(() => (done = true));
  await turnOfTheLoop();
  return done;
}

describe('a thread', () => {
  test('has room up to its share, and then as images go', async () => {
    const room = new DecodeRoom(100);
    const claims = [60, 30, 20, 5].map((bytes) => ({ bytes, claim: room.claim() }));
    const taken = claims.map(({ bytes, claim }) => granted(claim.take(bytes)));
    // The last would fit: it came after one that waits.
    expect(await Promise.all(taken)).toEqual([true, true, false, false]);
    claims[1]?.claim.give();
    const last = room.claim();
    expect(await granted(last.take(15))).toBe(true);
  });

  test('decodes an image larger than its share when it holds nothing else', async () => {
    const room = new DecodeRoom(100);
    const [small, large] = [room.claim(), room.claim()];
    await small.take(10);
    const waits = large.take(500);
    expect(await granted(waits)).toBe(false);
    small.give();
    await waits;
    expect(await granted(room.claim().take(1))).toBe(false);
  });

  test('gives back what an image does not keep', async () => {
    const room = new DecodeRoom(100);
    const first = room.claim();
    await first.take(90);
    const waits = room.claim().take(60);
    expect(await granted(waits)).toBe(false);
    first.keep(40);
    await waits;
  });

  test('that asks again for an image asks in place of what the image has', async () => {
    const room = new DecodeRoom(100);
    const [first, second] = [room.claim(), room.claim()];
    await first.take(90);
    expect(await granted(first.take(60))).toBe(true);
    expect(await granted(second.take(40))).toBe(true);
    expect(await granted(room.claim().take(1))).toBe(false);
  });

  test('that ends refuses who waits', async () => {
    const room = new DecodeRoom(1);
    await room.claim().take(1);
    const waits = room.claim().take(1);
    room.close(new Error('closed'));
    await expect(waits).rejects.toThrow('closed');
    await expect(room.claim().take(1)).rejects.toThrow('closed');
  });
});

describe('lanes that take turns', () => {
  const turn = (round: number, lane: number) => ({ epoch: 0, round, lane });

  test('the image whose turn is next goes beyond the share, one thread at a time', async () => {
    let held = 0;
    const waiting: (() => void)[] = [];
    const lock = {
      acquire: (): Promise<void> => (held++ === 0 ? Promise.resolve() : new Promise((resolve) => waiting.push(resolve))),
      release: (): void => (held--, waiting.shift()?.()),
    };
    const rooms = [new DecodeRoom(10, lock), new DecodeRoom(10, lock)];
    rooms[0]?.advance(turn(0, 0));
    rooms[1]?.advance(turn(0, 1));
    const claims = rooms.map((room, lane) => room.claim(turn(0, lane)));
    const [first, second] = claims.map((claim) => claim.take(50));
    expect(await granted(first as Promise<void>)).toBe(true);
    expect(await granted(second as Promise<void>)).toBe(false);
    // Decoded, and held until it is placed: the other thread may decode.
    claims[0]?.keep(50);
    await second;
  });

  test('never wait for each other, whatever the sizes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
        fc.integer({ min: 1, max: 60 }),
        async (lanes, share) => {
          const room = new DecodeRoom(share);
          lanes.forEach((_images, lane) => room.advance(turn(0, lane)));
          // A lane decodes its next image while the one before it waits for its turn.
          const placed: string[] = [];
          const ready = lanes.map(() => [] as Claim[]);
          const decoding = lanes.map(async (images, lane) => {
            for (const [round, bytes] of images.entries()) {
              while ((ready[lane]?.length ?? 0) > 1) await turnOfTheLoop();
              const claim = room.claim(turn(round, lane));
              await claim.take(bytes);
              claim.keep(Math.ceil(bytes / 2));
              ready[lane]?.push(claim);
            }
          });
          const order = lanes
            .flatMap((images, lane) => images.map((_bytes, round) => ({ round, lane })))
            .toSorted((a, b) => a.round - b.round || a.lane - b.lane);
          for (const { round, lane } of order) {
            let spins = 0;
            while (ready[lane]?.length === 0) {
              if (++spins > 100) throw new Error(`image ${round} of lane ${lane} waits for ever`);
              await turnOfTheLoop();
            }
            ready[lane]?.shift()?.give();
            if (round + 1 === lanes[lane]?.length) room.leave(lane);
            else room.advance(turn(round + 1, lane));
            placed.push(`${round}/${lane}`);
          }
          await Promise.all(decoding);
          expect(placed).toHaveLength(order.length);
        },
      ),
      { numRuns: 50 },
    );
  });
});
