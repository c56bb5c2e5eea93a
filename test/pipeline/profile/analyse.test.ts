import { describe, expect, test } from '@jest/globals';
import { profileReport } from '#dist/pipeline/profile/index.js';
import { waitShares } from '#dist/pipeline/profile/analyse.js';
import { measured, nothing, setup, visits } from './totals.js';

const busy = { activeMs: 970, idleMs: 30 };
const idle = { activeMs: 50, idleMs: 950 };

describe('the verdict', () => {
  test.each([
    [0.049, 'NOT input-bound: 4.9 %'],
    [0.05, 'MODERATELY input-bound: 5.0 %'],
    [0.199, 'MODERATELY input-bound: 20 %'],
    [0.2, 'HIGHLY input-bound: 20 %'],
  ])('at %f of the time', (share, words) => {
    const { dataWaitShare, verdict } = profileReport(measured(share, { laneMs: { ...nothing.laneMs, source: 9000 } }));
    expect(dataWaitShare).toBeCloseTo(share);
    expect(verdict).toContain(`${words} of step time waited for data`);
  });

  test('names the waits of most batches, of few, and of the first of an epoch', () => {
    const wait = visits(98, 0.2);
    const histogram = wait.histogram.map((count, bucket) => count + (visits(2, 40).histogram[bucket] ?? 0));
    const { verdict, wait: waits } = profileReport(
      measured(0.3, { stages: { wait: { ...wait, count: 100, histogram }, first: visits(1, 3000) } }),
    );
    expect(waits.p50Ms / 0.2).toBeCloseTo(1, 0);
    expect(verdict).toMatch(/next\(\) p50 0\.\d+ ms, p99 (3|4)\d ms; first batch of an epoch [23]\.\d s/);
  });

  test('speaks of supply when the pipeline was drained', () => {
    const report = profileReport(measured(1, { loops: [busy, busy], cpuMs: 1950, stages: { augment: visits(320, 5) } }, { drained: true }));
    expect(report.verdict).toMatch(/^SUPPLY 320 images\/s, limited by the cores/);
    expect(report.supply).toEqual({ imagesPerSecond: 320, measured: true });
    expect(report.demand).toBeUndefined();
  });
});

test('what the cores could do is no less than what was measured, when images cost less while the pipeline was drained', () => {
  const { supply, ceiling } = profileReport(measured(0.02, { cpuMs: 1000 }, { supply: { imagesPerSecond: 857, cpuMsPerImage: 2.2 } }));
  expect(supply).toEqual({ imagesPerSecond: 857, measured: true });
  expect(ceiling.cpuMsPerImage).toBeCloseTo(1000 / 320);
  expect(ceiling.imagesPerSecond).toBeCloseTo(2000 / 2.2);
});

test.each([
  ['no more than the cores could do', { images: 325, ms: 1050 }, 764],
  ['no less than the run took', { images: 900, ms: 1500 }, 900],
])('an estimate of the supply is %s', (_what, { images, ms }, supplied) => {
  const steps = [{ ms: 1000, steps: 1, images, waitMs: 20, stepMs: 980 }];
  const cpuMs = (2000 / 764) * images;
  const { supply, ceiling } = profileReport({ ...measured(0.02, { ms, cpuMs }), steps });
  expect(supply.measured).toBe(false);
  expect(supply.imagesPerSecond).toBeCloseTo(supplied);
  expect(ceiling.imagesPerSecond).toBeCloseTo(supplied);
});

describe('what limits the run', () => {
  test('the consumer, when it does not wait', () => {
    const report = profileReport(measured(0.02, { cpuMs: 1990 }, { supply: { imagesPerSecond: 900, cpuMsPerImage: 2 }, free: 330 }));
    expect(report.bindingResource).toBe('consumer');
    expect(report.nextStep).toBe(
      'Nothing to gain in the pipeline: your consumer is the limit. It takes 327 images/s; the pipeline can feed 900 images/s.',
    );
    expect(report.ifDataWereFree?.gain).toBeCloseTo(330 / 320 - 1);
  });

  test('too few workers, when the one there is never rests and cores do', () => {
    const report = profileReport(
      measured(
        0.6,
        { loops: [busy], cpuMs: 1100, stages: { augment: visits(320, 2.5) }, laneMs: { ...nothing.laneMs, decode: 9000, turn: 5000 } },
        { setup: { ...setup, workers: 1, cores: 8 } },
      ),
    );
    expect(report.bindingResource).toBe('cores');
    expect(report.nextStep).toBe('Use 8 workers (--workers 8): the only one is busy and 8 cores are there.');
  });

  test('too few lanes for as many workers as there are cores', () => {
    const totals = { loops: Array.from({ length: 16 }, () => busy), cpuMs: 15_500, stages: { augment: visits(5000, 2.5) } };
    const report = profileReport(measured(0.6, totals, { setup: { ...setup, workers: 16, lanes: 16, cores: 64 } }));
    expect(report.bindingResource).toBe('cores');
    expect(report.nextStep).toMatch(/^Use 64 lanes and as many workers .* all 16 are busy and 64 cores are there\.$/);
  });

  test('the cores, when workers decode themselves and never rest', () => {
    const workers = { decoded: 320, decodingMs: 900, cpuMs: 1900, runnableMs: 10, left: 0 };
    const stages = { decode: visits(320, 30), augment: visits(320, 2.5) };
    const totals = { loops: [busy, busy], cpuMs: 1300, stages, workers, laneMs: { ...nothing.laneMs, decode: 9000 } };
    const report = profileReport(measured(0.5, totals, { setup: { ...setup, cores: 3 } }));
    expect(report.bindingResource).toBe('cores');
    expect(report.waitShares.decode).toBeCloseTo(900 / 1940);
    expect(report.waitShares.tar).toBeCloseTo(240 / 1940);
    expect(report.utilisation.decodedByWorkers).toBe(1);
  });

  test('workers that hold each other up, when they have work, are on no core, and cores rest', () => {
    const workers = { decoded: 320, decodingMs: 900, cpuMs: 1164, runnableMs: 97, left: 0 };
    const totals = { loops: [busy, busy], cpuMs: 1200, stages: { augment: visits(320, 2.5) }, workers };
    const report = profileReport(measured(0.5, totals, { setup: { ...setup, cores: 4 } }));
    expect(report.bindingResource).toBe('contention');
    expect(report.utilisation.contention?.runnable).toBeCloseTo(0.05);
    expect(report.utilisation.contention?.blocked).toBeCloseTo(0.35);
    expect(report.verdict).toContain('held up by workers that hold each other up (5.0 % without a core, 35 % blocked of the time');
    expect(report.nextStep).toMatch(/^Use fewer workers \(--workers 1\), or two processes/);
  });

  test('the cores, when hardly any is left for workers that are without one', () => {
    const workers = { decoded: 320, decodingMs: 0, cpuMs: 1100, runnableMs: 800, left: 320 };
    const stages = { augment: visits(320, 2.5), decode: visits(320, 1, { bytes: 320 * 100_000 }) };
    const totals = { loops: [busy, busy], cpuMs: 1760, machine: { ms: 2000, idleMs: 240 }, stages, workers };
    const report = profileReport(measured(0.5, totals, { setup: { ...setup, cores: 2 } }));
    expect(report.bindingResource).toBe('cores');
    expect(report.nextStep).toMatch(/^Read fewer bytes \(detco shard --resize-short 256\), or give it more cores: 2 can do /);
  });

  test('one worker that never rests, though the others do: the lanes take turns', () => {
    const totals = { loops: [busy, { activeMs: 500, idleMs: 500 }], stages: { augment: visits(320, 3.5) }, cpuMs: 1500 };
    expect(profileReport(measured(0.5, { ...totals, laneMs: { ...nothing.laneMs, turn: 9000, decode: 500 } })).bindingResource).toBe(
      'cores',
    );
  });

  test('all cores, when they are in use: fewer pixels for large images, a GPU for small ones', () => {
    const stages = { augment: visits(320, 2), tar: visits(320, 0.1) };
    const totals = { loops: [busy, busy], cpuMs: 1900, laneMs: { ...nothing.laneMs, decode: 9000 } };
    const large = profileReport(measured(0.5, { ...totals, stages: { ...stages, decode: visits(320, 9, { bytes: 320 * 110_000 }) } }));
    expect(large.bindingResource).toBe('cores');
    expect(large.nextStep).toBe(
      'Decode fewer pixels (detco shard --resize-short 256), or give it more cores: 2 can do 337 images/s at the very most.',
    );
    const small = profileReport(measured(0.5, { ...totals, stages: { ...stages, decode: visits(320, 3, { bytes: 320 * 9_000 }) } }));
    expect(small.nextStep).toContain('--augment device');
  });

  test('other processes on the machine, when loops never rest and get little CPU time', () => {
    const report = profileReport(
      measured(0.5, { loops: [busy, busy], cpuMs: 900, machine: { ms: 2000, idleMs: 10 }, stages: { augment: visits(320, 3) } }),
    );
    expect(report.bindingResource).toBe('cores');
    expect(report.nextStep).toMatch(/^Other processes keep the machine 100 % busy and leave this one 45 % of its cores/);
  });

  test.each(['network', 'disk'] as const)('the %s, when everything rests and lanes wait for bytes', (medium) => {
    // Most lanes wait for the turn of the few that have no bytes.
    const laneMs = { ...nothing.laneMs, source: 1800, decode: 200, turn: 9000, slot: 4000 };
    const report = profileReport(
      measured(
        0.8,
        { loops: [idle, idle], cpuMs: 120, laneMs, stages: { source: visits(30, 60, { bytes: 3e7 }) } },
        { setup: { ...setup, medium } },
      ),
    );
    expect(report.bindingResource).toBe(medium);
    expect(report.nextStep).toContain(medium === 'network' ? '--cache-dir' : 'faster disk');
    expect(report.bytesPerSecond).toBe(3e7);
  });

  test('the disk, when the shards are remote and the cache folder has them', () => {
    const remote = { ...setup, medium: 'network' } as const;
    const totals = { loops: [idle, idle], laneMs: { ...nothing.laneMs, source: 9000 } };
    expect(profileReport(measured(0.8, totals, { setup: remote, cache: { hits: 9, misses: 1 } })).bindingResource).toBe('disk');
    expect(
      profileReport(measured(0.8, { ...totals, cache: { hits: 0, misses: 3 } }, { setup: remote, cache: { hits: 9, misses: 4 } }))
        .bindingResource,
    ).toBe('network');
  });

  test('shards that several lanes share, when bytes are read again and again', () => {
    const report = profileReport(
      measured(
        0.8,
        {
          loops: [idle, idle],
          laneMs: { ...nothing.laneMs, source: 9000 },
          stages: { source: visits(30, 60, { bytes: 4e7 }), tar: visits(320, 0.1, { bytes: 1e7 }) },
        },
        { setup: { ...setup, shards: 4, medium: 'network' } },
      ),
    );
    expect(report.nextStep).toBe('Make at least 16 shards (detco shard --per-shard N): 16 lanes share 4, so every byte is read 4.0 times.');
  });

  test('the decoding threads, when images queue for them and cores rest', () => {
    const totals = { loops: [idle, idle], cpuMs: 900, laneMs: { ...nothing.laneMs, decode: 9000, source: 300 }, decoderQueue: 640 };
    const report = profileReport(
      measured(0.8, { ...totals, stages: { decode: visits(320, 30) } }, { setup: { ...setup, uvThreads: 1, cores: 8 } }),
    );
    expect(report.bindingResource).toBe('libuv');
    expect(report.nextStep).toContain('UV_THREADPOOL_SIZE=8');
  });

  test('the lanes, when images neither queue nor keep anything busy', () => {
    const totals = { loops: [idle, idle], cpuMs: 300, laneMs: { ...nothing.laneMs, decode: 1900 } };
    const report = profileReport(measured(0.8, { ...totals, stages: { decode: visits(320, 6) } }, { setup: { ...setup, lanes: 2 } }));
    expect(report.bindingResource).toBe('lanes');
    expect(report.nextStep).toContain('lanes: 4');
  });

  test("the consumer's event loop, when batches are ready before it comes for them", () => {
    const report = profileReport(
      measured(0.4, {
        loops: [idle, idle],
        consumerLoop: { activeMs: 990, idleMs: 10 },
        stages: { wait: visits(10, 40), handoff: visits(10, 38) },
      }),
    );
    expect(report.bindingResource).toBe('event-loop');
    expect(report.nextStep).toContain('99 % busy');
  });
});

describe('the shares of the waiting', () => {
  test('sum to 1, whatever was measured', () => {
    const many = [
      nothing,
      { ...nothing, laneMs: { ...nothing.laneMs, source: 5, decode: 7, turn: 90 } },
      { ...nothing, loops: [busy, idle], stages: { ...nothing.stages, augment: visits(10, 2), wait: visits(3, 9), handoff: visits(3, 2) } },
    ];
    for (const totals of many.slice(1)) {
      const sum = Object.values(waitShares(totals)).reduce((all, share) => all + share, 0);
      expect(sum).toBeCloseTo(1, 9);
    }
    expect(Object.values(waitShares(nothing))).toEqual([0, 0, 0, 0, 0]);
  });

  test('put idle threads down to what lanes wait for, and leave waiting for turns out of it', () => {
    const shares = waitShares({
      ...nothing,
      loops: [
        { activeMs: 300, idleMs: 700 },
        { activeMs: 300, idleMs: 700 },
      ],
      stages: { ...nothing.stages, augment: visits(200, 2) },
      laneMs: { ...nothing.laneMs, source: 300, decode: 100, turn: 10_000, slot: 5000, augment: 400 },
    });
    expect(shares).toEqual({ source: 0.525, tar: 0.1, decode: 0.175, augment: 0.2, handoff: 0 });
  });
});

test('the stages of a report name every view and every share, and stay within 1', () => {
  const { stages } = profileReport(measured(0.5, { loops: [busy, busy], stages: { decode: visits(320, 90), augment: visits(320, 3) } }));
  expect(stages.map(({ name }) => name).join(' ')).toBe(
    'source tar shuffle decode decoded turn slot augment augment.globalQ augment.globalK handoff wait first step',
  );
  const shares = stages.flatMap(({ shareOfWaiting = [] }) => shareOfWaiting);
  expect(shares).toHaveLength(5);
  expect(shares.reduce((sum, share) => sum + share, 0)).toBeCloseTo(1, 9);
  for (const { utilisation } of stages) expect(utilisation).toBeLessThanOrEqual(1);
});
