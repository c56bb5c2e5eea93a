import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { createPipeline, type PipelineMeters, type PipelineOptions, recipes, type Span } from '#dist/pipeline/index.js';
import { LaneMeters, TASK } from '#dist/pipeline/profile/lane-meters.js';
import { clock, Meters } from '#dist/pipeline/profile/meters.js';
import { LANE_STATES, STAGE } from '#dist/pipeline/profile/stages.js';
import { indexShard, writeIndex } from '#dist/pipeline/shard/shard-index.js';
import { testKey, writeTestShards } from '../../support/shards.js';

const shape = { workers: 1, lanes: 2, slots: 2, views: ['globalQ'], spans: 3 };

/** Lets a little time pass on the meters' clock. */
function spend(): void {
  const began = clock();
  while (clock() - began < 2);
}

function laneStates(meters: Meters): Record<string, number> {
  const states = meters.laneStates(clock());
  return Object.fromEntries(LANE_STATES.map((state, index) => [state, states[index] ?? 0]).filter(([, ms]) => ms !== 0));
}

describe('the meters of a lane', () => {
  test('tell what it is held up by: what its decoder waits for, once it wants a sample', () => {
    const meters = new Meters(shape);
    const lane = new LaneMeters(meters, meters.thread(0), 0);
    lane.enter(TASK.find, STAGE.shuffle);
    lane.enter(TASK.fetch, STAGE.source);
    spend();
    // Nobody waits for it yet.
    expect(laneStates(meters)).toEqual({});
    lane.enter(TASK.place, STAGE.decoded);
    spend();
    // Whoever looks sees the wait that is under way.
    expect(Object.keys(laneStates(meters))).toEqual(['source']);
    lane.leave(TASK.fetch);
    spend();
    lane.enter(TASK.find, STAGE.decode);
    spend();
    lane.leave(TASK.find);
    spend();
    lane.enter(TASK.place, STAGE.turn);
    spend();
    lane.enter(TASK.place, STAGE.slot);
    lane.enter(TASK.place, STAGE.augment);
    lane.leave(TASK.place);
    const states = laneStates(meters);
    for (const state of ['source', 'tar', 'decode', 'loop', 'turn']) expect(states[state]).toBeGreaterThan(1.9);
  });

  test("do not count the source's time as the tar parser's", () => {
    const meters = new Meters(shape);
    const lane = new LaneMeters(meters, meters.thread(0), 0);
    lane.enter(TASK.fetch, STAGE.source);
    spend();
    lane.enter(TASK.read, STAGE.tar);
    const began = clock();
    spend();
    lane.leave(TASK.fetch);
    spend();
    lane.leave(TASK.read);
    const whole = clock() - began;
    const { tar, source } = meters.stages();
    expect(tar?.ms).toBeGreaterThan(1.9);
    expect(tar?.ms).toBeLessThan(whole - 1.9);
    expect(source?.count).toBe(1);
  });

  test('keep the newest spans of a thread, and none unless asked', () => {
    const meters = new Meters(shape);
    const thread = meters.thread(0);
    for (let n = 0; n < 5; n++) thread.addSpan(STAGE.decode, 6, 100 + n, 1);
    expect(meters.spans().map(({ startMs, track, stage }) => [startMs, track, stage])).toEqual(
      [2, 3, 4].map((n) => [100 + n, 6, STAGE.decode]),
    );
    const silent = new Meters({ ...shape, spans: 0 });
    silent.thread(0).addSpan(STAGE.decode, 6, 100, 1);
    expect(silent.spans()).toEqual([]);
    expect(silent.buffer.byteLength).toBeLessThan(meters.buffer.byteLength);
  });
});

describe('the meters of a pipeline', () => {
  const COUNTS = [8, 4, 7, 13];
  const BAD = [testKey(0, 3), testKey(2, 0)];
  let folder: string;
  let options: PipelineOptions;
  let meters: PipelineMeters;
  let spans: readonly Span[];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-meters-'));
    const shards = await writeTestShards(join(folder, 'train'), { counts: COUNTS, bad: BAD });
    const recipe = recipes.detco({ globalSize: 24, patchSize: 8 });
    options = { shards, recipe, batchSize: 5, epochs: 4, lanes: 3, workers: 2, shuffle: 4, maxBadSamples: 100, spans: 1 << 14 };
    const pipeline = await createPipeline(options);
    for await (const batch of pipeline) expect(batch.size).toBe(5);
    meters = pipeline.meters();
    spans = pipeline.spans();
  });

  afterAll(() => rm(folder, { recursive: true }));

  test('count every sample at every stage', () => {
    const { stages, images } = meters.totals;
    // 30 good samples and two bad ones an epoch: six batches of five.
    expect(images).toBe(4 * 30);
    expect(stages).toMatchObject({
      decode: { count: 4 * 32, failures: 4 * 2 },
      augment: { count: 4 * 30 },
      'augment.globalQ': { count: 4 * 30 },
      'augment.patchesK': { count: 4 * 30 },
      first: { count: 4 },
      wait: { count: 4 * 5 },
    });
    expect(stages['tar']?.bytes).toBe(stages['decode']?.bytes);
    expect(stages['source']?.bytes).toBeGreaterThan(stages['tar']?.bytes ?? Infinity);
    for (const { count, ready, histogram } of Object.values(stages)) {
      expect(histogram.reduce((sum, visits) => sum + visits, 0)).toBe(count);
      if (count > 0) expect(ready).toBeLessThanOrEqual(count);
    }
    expect(meters.queues).toEqual({ compressed: 0, decoding: 0, decoded: 0, full: 0 });
  });

  test('leave no sample in a queue that a lane has read and not handed out', async () => {
    const indexDir = join(folder, 'index');
    for (const shard of options.shards) await writeIndex(indexDir, await indexShard(shard));
    // Lanes make up for bad samples and for unequal lengths by beginning again, and leave what they then have no need of.
    const pipeline = await createPipeline({ ...options, divide: 'samples', indexDir, dropLast: false });
    for await (const batch of pipeline) batch.release();
    expect(pipeline.meters().queues).toEqual({ compressed: 0, decoding: 0, decoded: 0, full: 0 });
  });

  test('time the threads, their lanes and the process', () => {
    const { laneMs, loops, cpuMs } = meters.totals;
    expect(loops).toHaveLength(2);
    for (const { activeMs } of loops) expect(activeMs).toBeGreaterThan(0);
    expect(cpuMs).toBeGreaterThan(0);
    expect(Math.min(...Object.values(laneMs))).toBeGreaterThanOrEqual(0);
    expect(laneMs.augment).toBeCloseTo(meters.totals.stages['augment']?.ms ?? 0, 6);
    expect(laneMs.turn).toBeCloseTo(meters.totals.stages['turn']?.ms ?? 0, 6);
  });

  test('keep a span of every visit, which never overlap on a track', () => {
    const { stages } = meters.totals;
    const visits = Object.entries(stages).reduce((sum, [name, { count }]) => sum + (name === 'handoff' ? 0 : count), 0);
    // Rendering is noted twice: for the lane, and for the thread.
    expect(spans).toHaveLength(visits + (stages['augment']?.count ?? 0));
    const tracks = new Map<string, Span[]>();
    for (const span of spans) {
      const name = `${span.thread} ${span.track}`;
      tracks.set(name, [...(tracks.get(name) ?? []), span]);
    }
    expect(tracks.size).toBe(1 + 2 + 3 * 4);
    for (const [name, track] of tracks) {
      if (name.endsWith('-1') && !name.startsWith('2')) continue;
      const ordered = track.toSorted((a, b) => a.startMs - b.startMs);
      for (const [index, { startMs }] of ordered.entries()) {
        const before = ordered[index - 1];
        if (before) expect(startMs).toBeGreaterThanOrEqual(before.startMs + before.durationMs - 1e-6);
      }
    }
  });
});
