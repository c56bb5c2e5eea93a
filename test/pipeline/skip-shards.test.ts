/** Shards that are left out: they keep their place in the plan, so that the others come as they would have. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPipeline, type PipelineOptions, type PipelineState, recipes } from '#dist/pipeline/index.js';
import { writeTestShards } from '../support/shards.js';

describe('skipShards', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-skip-'));
    await writeTestShards(folder, { counts: [8, 8, 8, 8, 8, 8] });
  });
  afterAll(() => rm(folder, { recursive: true }));

  async function read(options: Partial<PipelineOptions> = {}): Promise<{ readonly keys: string[]; readonly states: PipelineState[] }> {
    const pipeline = await createPipeline({
      shards: join(folder, 'shard-{000..005}.tar'),
      recipe: recipes.mocoV1({ globalSize: 16 }),
      batchSize: 4,
      epochs: 2,
      lanes: 3,
      shuffle: 1,
      workers: 2,
      dropLast: false,
      ...options,
    });
    const keys: string[] = [];
    const states: PipelineState[] = [];
    for await (const batch of pipeline) {
      keys.push(...batch.samples.map(({ key }) => `${batch.epoch} ${key}`));
      states.push(batch.state);
    }
    return { keys, states };
  }

  const left = (keys: readonly string[], shard = 's2-') => keys.filter((key) => !key.includes(shard));
  /** Samples of a lane's shards follow each other in its turns; of one shard their order says all. */
  const ofShard = (keys: readonly string[], shard: string) => keys.filter((key) => key.includes(shard));

  test('leaves the samples of a shard out, and those of the others in their order', async () => {
    const whole = await read();
    const without = await read({ skipShards: 'shard-002.tar' });
    expect(without.keys.toSorted()).toEqual(left(whole.keys).toSorted());
    for (const shard of ['s0-', 's1-', 's3-', 's4-', 's5-']) expect(ofShard(without.keys, shard)).toEqual(ofShard(whole.keys, shard));
  });

  test('takes locations and braces, and reads no file that is left out', async () => {
    const missing = join(folder, 'shard-{000..006}.tar');
    const { keys } = await read({ shards: missing, skipShards: [join(folder, 'shard-006.tar'), 'shard-00{2,3}.tar'] });
    expect(new Set(keys.map((key) => key.slice(2, 4)))).toEqual(new Set(['s0', 's1', 's4', 's5']));
  });

  test('resumes a state of a pipeline that read the shard, in the same way each time', async () => {
    const whole = await read();
    const resume = whole.states[3] as PipelineState;
    const [first, second] = [
      await read({ resume, skipShards: 'shard-002.tar', workers: 1 }),
      await read({ resume, skipShards: 'shard-002.tar' }),
    ];
    expect(first.keys).toEqual(second.keys);
    expect(first.keys.length).toBeGreaterThan(0);
    expect(ofShard(first.keys, 's2-')).toEqual([]);
    // From the next epoch on it is the pipeline without the shard.
    const without = await read({ skipShards: 'shard-002.tar' });
    expect(first.keys.filter((key) => key.startsWith('1 '))).toEqual(without.keys.filter((key) => key.startsWith('1 ')));
  });

  test('divides by samples without the shard', async () => {
    const indexDir = join(folder, 'index');
    await read({ indexDir });
    await rm(join(folder, 'index'), { recursive: true });
    await read({ indexDir, skipShards: 'shard-002.tar', lanes: 1, workers: 1 });
    const ranks = await Promise.all(
      [0, 1].map((rank) => read({ indexDir, skipShards: 'shard-002.tar', rank, worldSize: 2, lanes: 4, workers: 2, epochs: 1 })),
    );
    expect(ranks.flatMap(({ keys }) => keys).toSorted()).toEqual((await read({ skipShards: 'shard-002.tar', epochs: 1 })).keys.toSorted());
  });

  test.each<[string, string, string]>([
    [
      'a name that no shard has',
      'shard-2.tar',
      'no shard of 6 is named "shard-2.tar"; expected a name such as "shard-000.tar". A pattern does not match a shard that is gone: give the shards as a range that names it, such as "train-{000..003}.tar"',
    ],
    ['all shards', 'shard-{000..005}.tar', 'no shard of 6 is left to read; leave one'],
  ])('refuses %s', async (_what, skipShards, message) => {
    await expect(read({ skipShards })).rejects.toThrow(new RangeError(`Pipeline option skipShards: ${message}`));
  });
});
