/**
 * From what was measured to what it means. Pure functions.
 *
 * A resource limits the pipeline when it is always at work: the consumer, the cores, the threads of the workers, the
 * decoder's threads. Bytes from elsewhere limit it when everything here has time to spare and lanes wait for them.
 */
import { bucketStart, quantile } from './histogram.js';
import type { Measured } from './record.js';
import type { StageTotals } from './meters.js';
import type { Contention, Facts, ProfileReport, StageReport, Utilisation, WaitShares } from './report.js';
import type { Totals } from './snapshot.js';
import { STAGES, viewStage } from './stages.js';
import { bindingResource, nextStep, verdict } from './verdict.js';

/** Stages that do something, as opposed to wait for it. */
const WORK = new Set(['source', 'tar', 'decode', 'augment', 'step']);

const ratio = (part: number, whole: number): number => (whole > 0 ? part / whole : 0);

export function profileReport(measured: Measured): ProfileReport {
  const { setup, totals, steps, samples, drained, supply, free, firstBatchMs } = measured;
  const stage = (name: string): StageTotals => totals.stages[name] ?? NO_VISITS;
  const total = (key: 'images' | 'waitMs' | 'stepMs' | 'steps') => steps.reduce((sum, step) => sum + step[key], 0);
  const [images, waitMs, stepMs] = [total('images'), total('waitMs'), total('stepMs')];
  const imagesPerSecond = ratio(1000 * images, waitMs + stepMs);
  const utilisation = utilisations(measured);
  const cpuMsPerImage = ratio(totals.cpuMs, images);
  const shares = waitShares(totals);
  // Shards may be so long that none was begun meanwhile.
  const { hits, misses } = totals.cache.hits + totals.cache.misses > 0 ? totals.cache : measured.cache;
  const busiest = Math.max(utilisation.cores, ...utilisation.workers);
  // It can give what it gave, however short the part in which it was drained.
  const drainedRate = drained ? imagesPerSecond : supply?.imagesPerSecond;
  // A core is faster at one time than at another, and beside a consumer than without: at the best of them no part gave more.
  const cheapest = Math.min(cpuMsPerImage, supply?.cpuMsPerImage ?? Infinity);
  const most = ratio(1000 * setup.cores, cheapest);
  // Times of steps and of threads are not taken at one instant, so an estimate may come out above what the cores can do.
  const estimate = Math.min(ratio(imagesPerSecond, Math.min(1, busiest)), most);
  const supplied = Math.max(drainedRate ?? estimate, imagesPerSecond);
  const facts: Facts = {
    imagesPerSecond,
    dataWaitShare: ratio(waitMs, waitMs + stepMs),
    waitShares: shares,
    drained,
    seconds: (waitMs + stepMs) / 1000,
    images,
    steps: total('steps'),
    wait: {
      p50Ms: quantile(stage('wait').histogram, 0.5),
      p90Ms: quantile(stage('wait').histogram, 0.9),
      p99Ms: quantile(stage('wait').histogram, 0.99),
      readiness: ratio(stage('wait').ready, stage('wait').count),
    },
    epochFirst: {
      count: stage('first').count,
      p50Ms: quantile(stage('first').histogram, 0.5),
      p99Ms: quantile(stage('first').histogram, 0.99),
    },
    ...(firstBatchMs === undefined ? {} : { firstBatchMs }),
    ...(drained || stepMs === 0 ? {} : { demand: (1000 * images) / stepMs }),
    supply: { imagesPerSecond: supplied, measured: drainedRate !== undefined },
    ...(free === undefined ? {} : { ifDataWereFree: { imagesPerSecond: free, gain: ratio(free, imagesPerSecond) - 1 } }),
    ceiling: { cpuMsPerImage, imagesPerSecond: Math.max(most, supplied) },
    utilisation,
    medium: hits > misses ? 'disk' : setup.medium,
    bytesPerSecond: ratio(1000 * stage('source').bytes, totals.ms),
    // Headers and padding, which weigh more than small images, do not count.
    amplification: Math.min(ratio(stage('source').bytes, stage('tar').bytes), Math.max(1, setup.lanes / setup.shards)),
    bytesPerImage: ratio(stage('decode').bytes, stage('decode').count),
    retries: stage('source').failures,
    badSamples: stage('decode').failures,
    rssBytes: Math.max(0, ...samples.map(({ rssBytes }) => rssBytes)),
    setup,
  };
  const binding = bindingResource(facts);
  return {
    ...facts,
    verdict: verdict(facts, binding),
    bindingResource: binding,
    nextStep: nextStep(facts, binding),
    stages: stageReports(measured, shares),
  };
}

const NO_VISITS: StageTotals = { count: 0, ms: 0, bytes: 0, failures: 0, ready: 0, histogram: [] };

function utilisations({ setup, totals }: Measured): Utilisation {
  const { stages, loops, workers, consumerLoop, machine } = totals;
  const share = ({ activeMs, idleMs }: { activeMs: number; idleMs: number }) => ratio(activeMs, activeMs + idleMs);
  const { ms = 0, count = 0 } = stages['decode'] ?? {};
  return {
    cores: ratio(totals.cpuMs, setup.cores * totals.ms),
    machine: machine.ms > 0 ? 1 - machine.idleMs / machine.ms : 0,
    workers: loops.map(share),
    decodedByWorkers: decodedByWorkers(totals),
    leftToDevice: Math.min(1, ratio(workers.left, count)),
    ...(workers.cpuMs > 0 && { contention: contention(totals) }),
    consumerLoop: share(consumerLoop),
    decoding: ratio(ms, totals.ms),
    decoderQueue: ratio(totals.decoderQueue, count),
    source: ratio(stages['source']?.ms ?? 0, setup.lanes * totals.ms),
  };
}

function decodedByWorkers({ stages, workers }: Totals): number {
  return Math.min(1, ratio(workers.decoded, stages['decode']?.count ?? 0));
}

function contention({ loops, workers }: Totals): Contention {
  const active = loops.reduce((sum, loop) => sum + loop.activeMs, 0);
  const off = Math.max(0, active - workers.cpuMs);
  const runnable = Math.min(off, workers.runnableMs);
  return { runnable: ratio(runnable, active), blocked: ratio(off - runnable, active) };
}

/**
 * What the consumer waits for. The time of the workers' threads splits into rendering, decoding, other JavaScript (the
 * tar parser, most of it) and nothing to do; that last part is put down to what the lanes wait for meanwhile, bytes or a
 * decoder in other threads. Waiting for other lanes or for a slot is left out of it: the lane waited for is held up by one of the rest.
 */
export function waitShares(totals: Totals): WaitShares {
  const { stages, loops, workers, laneMs } = totals;
  const active = loops.reduce((sum, loop) => sum + loop.activeMs, 0);
  const idle = loops.reduce((sum, loop) => sum + loop.idleMs, 0);
  const augment = stages['augment']?.ms ?? 0;
  // While a worker's thread decodes it is not idle, whatever its lanes wait for.
  const elsewhere = laneMs.decode * (1 - decodedByWorkers(totals));
  const starved = laneMs.source + elsewhere;
  const parts = {
    source: ratio(idle * laneMs.source, starved),
    tar: Math.max(0, active - augment - workers.decodingMs),
    decode: workers.decodingMs + ratio(idle * elsewhere, starved),
    augment,
  };
  const all = Object.values(parts).reduce((sum, part) => sum + part, 0);
  const waited = (stages['wait']?.ms ?? 0) + (stages['first']?.ms ?? 0);
  const handoff = Math.min(1, ratio(stages['handoff']?.ms ?? 0, waited));
  const share = (part: number) => (1 - handoff) * ratio(part, all);
  return { source: share(parts.source), tar: share(parts.tar), decode: share(parts.decode), augment: share(parts.augment), handoff };
}

function stageReports({ setup, totals }: Measured, shares: WaitShares): StageReport[] {
  /** Visits that can be under way at a time. */
  const room = (name: string): number => {
    if (name.startsWith('augment')) return setup.workers;
    // In threads of the workers or of libuv.
    if (name === 'decode') return Math.min(setup.lanes, decodedByWorkers(totals) > 0.5 ? setup.workers : setup.uvThreads);
    return ['handoff', 'wait', 'first', 'step'].includes(name) ? 1 : setup.lanes;
  };
  const seconds = totals.ms / 1000;
  const place = STAGES.indexOf('augment') + 1;
  const names = [...STAGES.slice(0, place), ...setup.views.map(viewStage), ...STAGES.slice(place)];
  const reports: StageReport[] = [];
  for (const name of names) {
    const { count, ms, bytes, failures, ready, histogram } = totals.stages[name] ?? NO_VISITS;
    const works = WORK.has(name) || name.startsWith('augment.');
    reports.push({
      name,
      kind: works ? 'work' : 'wait',
      count,
      perSecond: ratio(count, seconds),
      p50Ms: quantile(histogram, 0.5),
      p90Ms: quantile(histogram, 0.9),
      p99Ms: quantile(histogram, 0.99),
      utilisation: Math.min(1, ratio(ms, room(name) * totals.ms)),
      readiness: works || name === 'handoff' ? undefined : Math.min(1, ratio(ready, count)),
      shareOfWaiting: name in shares ? shares[name as keyof WaitShares] : undefined,
      bytes,
      bytesPerSecond: ratio(bytes, seconds),
      failures,
    });
  }
  return reports;
}

/** Visits by duration of a stage: lower bound in milliseconds and count, without the empty ends. */
export function distribution({ histogram }: StageTotals): { readonly ms: number; readonly count: number }[] {
  const first = histogram.findIndex((count) => count > 0);
  const last = histogram.findLastIndex((count) => count > 0);
  return first < 0 ? [] : histogram.slice(first, last + 1).map((count, index) => ({ ms: bucketStart(first + index), count }));
}
