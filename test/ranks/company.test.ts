/** Ranks that talk on the host: who hears what, and when one does not come, fails or dies. Real processes. */
import { hostname } from 'node:os';
import { expect, test } from '@jest/globals';
import { whereRanks } from './available.js';
import { freePort, runNode } from './run-ranks.js';

const where = await whereRanks();

where.describe(`a company of ranks${where.note}`, () => {
  interface Heard {
    readonly met?: readonly object[];
    readonly again?: readonly number[];
    readonly ended?: string;
    readonly refused?: string;
  }

  /** What each of these ranks heard. */
  async function talk(ranks: readonly number[], task: object): Promise<Heard[]> {
    const port = await freePort();
    const ended = await Promise.all(
      ranks.map((rank) => runNode(['test/ranks/talk.mjs', JSON.stringify({ size: 3, port, ...task, rank })])),
    );
    return ended.map(({ stdout }) =>
      Object.assign({}, ...stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Heard]))),
    );
  }

  const met = [0, 1, 2].map((rank) => ({ rank, twice: 2 * rank }));

  test('all hear all, in rank order', async () => {
    for (const heard of await talk([2, 0, 1], {})) expect(heard).toEqual({ met, again: [0, 1, 2] });
  }, 240_000);

  test('one that fails tells the others why', async () => {
    const [first, failed, other] = await talk([0, 1, 2], { does: 'fail' });
    expect(failed).toEqual({ met, ended: 'the disk of this one is full' });
    for (const heard of [first, other])
      expect(heard).toEqual({ met, ended: `rank 1 on ${hostname()} cannot go on: the disk of this one is full. Try again` });
  }, 240_000);

  test('one that is killed is missed', async () => {
    const [first, killed, other] = await talk([0, 1, 2], { does: 'die' });
    expect(killed).toEqual({ met });
    for (const heard of [first, other])
      expect(heard?.ended).toBe(`rank 1 on ${hostname()} is gone: its process was ended, or its machine or the network failed. Try again`);
  }, 240_000);

  test('one that does not come: the others say who, and where they waited', async () => {
    const [first, other] = await talk([0, 2], { startMs: 2000 });
    expect(first?.refused).toMatch(/^rank 1 of 3 has not come to 127\.0\.0\.1:\d+ within the time: start all ranks/);
    expect(other?.refused).toMatch(/rank 1 of 3 has not come|one of 3 ranks has not come|is gone/);
  }, 240_000);

  test('no rank 0: the address and the port', async () => {
    const [heard] = await talk([1], { startMs: 1000 });
    expect(heard?.refused).toMatch(/^rank 1 of 3 found no rank 0 at 127\.0\.0\.1:\d+ within 1 s: .*; start all ranks/s);
  }, 240_000);
});
