/** Ranks that talk on the host: who hears what, and when one does not come, fails or dies. Real processes. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
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

  /** What one rank heard. */
  async function one(task: object): Promise<Heard> {
    const { stdout } = await runNode(['test/ranks/talk.mjs', JSON.stringify({ size: 3, ...task })]);
    return Object.assign({}, ...stdout.split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Heard]))) as Heard;
  }

  /** What each of these ranks heard. */
  async function talk(ranks: readonly number[], task: object): Promise<Heard[]> {
    const port = await freePort();
    return Promise.all(ranks.map((rank) => one({ port, ...task, rank })));
  }

  const met = [0, 1, 2].map((rank) => ({ rank, twice: 2 * rank }));

  test('all hear all, in rank order', async () => {
    for (const heard of await talk([2, 0, 1], {})) expect(heard).toEqual({ met, again: [0, 1, 2] });
  }, 240_000);

  test('one that fails tells the others why', async () => {
    const [first, failed, other] = await talk([0, 1, 2], { does: 'fail' });
    expect(failed).toEqual({ met, ended: 'the disk of this one is full' });
    for (const heard of [first, other])
      expect(heard).toEqual({ met, ended: `rank 1 on ${hostname()} cannot go on: the disk of this one is full` });
  }, 240_000);

  test('one that is killed is missed', async () => {
    const [first, killed, other] = await talk([0, 1, 2], { does: 'die' });
    expect(killed).toEqual({ met });
    for (const heard of [first, other])
      expect(heard?.ended).toBe(`rank 1 on ${hostname()} is gone: its process was ended, or its machine or the network failed. Try again`);
  }, 240_000);

  test('one that does not come: the others say who, and where they waited', async () => {
    const [first, other] = await talk([0, 2], { startMs: 8000 });
    expect(first?.refused).toMatch(/^rank 1 of 3 has not come to 127\.0\.0\.1:\d+ within the time: start all ranks/);
    expect(other?.refused).toMatch(/rank 1 of 3 has not come/);
  }, 240_000);

  test('two of one number while others are waited for: all say so', async () => {
    for (const { refused } of await talk([0, 1, 1], {}))
      expect(refused).toMatch(/2 processes say that they are rank 1 of 3: each needs a RANK of/);
  }, 240_000);

  test('ranks that were told other sizes: both name both', async () => {
    const port = await freePort();
    const message = 'rank 1 was started as one of 4 ranks, and rank 0 as one of 2: start all ranks with the same WORLD_SIZE';
    const all = [one({ port, rank: 0, size: 2 }), one({ port, rank: 1, size: 4 })];
    expect(await Promise.all(all)).toEqual([{ refused: message }, { refused: message }]);
  }, 240_000);

  test('one too many, and a second of one number after they have met: refused alone', async () => {
    const [port, folder] = [await freePort(), await mkdtemp(join(tmpdir(), 'detco-company-'))];
    try {
      const until = join(folder, 'go-on');
      const both = [0, 1].map((rank) => one({ port, rank, size: 2, until }));
      expect(await one({ port, rank: 2, size: 4 })).toEqual({
        refused: 'rank 2 was started as one of 4 ranks, and rank 0 as one of 2: start all ranks with the same WORLD_SIZE',
      });
      expect(await one({ port, rank: 1, size: 2 })).toEqual({
        refused: '2 processes say that they are rank 1 of 2: each needs a RANK of its own',
      });
      await writeFile(until, '');
      for (const heard of await Promise.all(both)) expect(heard).toEqual({ met: met.slice(0, 2), again: [0, 1] });
    } finally {
      await rm(folder, { recursive: true });
    }
  }, 240_000);

  test('no rank 0: the address and the port', async () => {
    const [heard] = await talk([1], { startMs: 1000 });
    expect(heard?.refused).toMatch(/^rank 1 of 3 found no rank 0 at 127\.0\.0\.1:\d+ within 1 s: .*; start all ranks/s);
  }, 240_000);
});
