import { describe, expect, test } from '@jest/globals';
import { turnOf } from '#dist/pipeline/plan/turns.js';
import fc from 'fast-check';

/** The turns written out: round k takes the k-th sample of every lane that still has one. */
function writtenOut(totals: readonly number[]): string[] {
  const order: string[] = [];
  for (let k = 0; k < Math.max(0, ...totals); k++) totals.forEach((total, lane) => k < total && order.push(`${lane}:${k}`));
  return order;
}

const laneTotals = fc.array(fc.nat(12), { minLength: 1, maxLength: 9 });

describe('turnOf', () => {
  test('places every sample where the written-out turns have it', () => {
    fc.assert(
      fc.property(laneTotals, (totals) => {
        const placed: string[] = [];
        totals.forEach((total, lane) => {
          for (let k = 0; k < total; k++) {
            placed[turnOf(lane, k, totals.length, (other) => ({ ready: totals[other] ?? 0, dry: true }))] = `${lane}:${k}`;
          }
        });
        expect(placed).toEqual(writtenOut(totals));
      }),
    );
  });

  test('gives the same place with partial knowledge, or names a lane that is not known far enough', () => {
    fc.assert(
      fc.property(laneTotals, fc.nat(), fc.nat(), fc.infiniteStream(fc.nat(12)), (totals, laneSeed, kSeed, known) => {
        const lanes = totals.map((total, lane) => ({ total, lane })).filter(({ total }) => total > 0);
        fc.pre(lanes.length > 0);
        const { lane, total } = lanes[laneSeed % lanes.length] ?? { lane: 0, total: 1 };
        const k = kSeed % total;
        const partial = totals.map((all) => {
          const ready = Math.min(all, known.next().value);
          return { ready, dry: ready === all };
        });
        const own = partial[lane];
        fc.pre(own !== undefined && own.ready > k);
        const turn = turnOf(lane, k, totals.length, (other) => partial[other] ?? { ready: 0, dry: true });
        if (turn >= 0) expect(turn).toBe(writtenOut(totals).indexOf(`${lane}:${k}`));
        else {
          const waited = partial[-1 - turn];
          expect(waited?.dry).toBe(false);
          expect(waited?.ready).toBeLessThanOrEqual(k);
        }
      }),
    );
  });
});
