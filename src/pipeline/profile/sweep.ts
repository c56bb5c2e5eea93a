/** How the rate of a pipeline goes with the number of workers. */
import type { PipelineOptions } from '../options.js';
import { profileReport } from './analyse.js';
import { measurePipeline } from './measure.js';

/** What a number of workers gave. */
export interface SweepPoint {
  readonly workers: number;
  readonly imagesPerSecond: number;
  /** CPU time of the process in the cores it may use, as a share of 1. */
  readonly cores: number;
}

/** Share of the best rate that is good enough to stop adding workers. */
const KNEE = 0.95;

/** Numbers of workers to try: every one up to 4, then in steps of half as many again, to one more than there are cores. */
export function sweepWorkers(cores: number, lanes: number): number[] {
  const most = Math.min(Math.floor(cores) + 1, lanes);
  const workers: number[] = [];
  for (let n = 1; n < most; n = n < 4 ? n + 1 : Math.round(1.5 * n)) workers.push(n);
  return [...workers, most];
}

/** The fewest workers that come near the best rate. */
export function knee(points: readonly SweepPoint[]): number {
  const best = Math.max(...points.map(({ imagesPerSecond }) => imagesPerSecond));
  return Math.min(...points.filter(({ imagesPerSecond }) => imagesPerSecond >= KNEE * best).map(({ workers }) => workers));
}

/** Drains a fresh pipeline for each number of workers, one after the other. */
export async function sweep(
  options: PipelineOptions,
  {
    workers,
    seconds,
    onPoint,
  }: { readonly workers: readonly number[]; readonly seconds: number; readonly onPoint?: (point: SweepPoint) => void },
): Promise<SweepPoint[]> {
  const points: SweepPoint[] = [];
  for (const count of workers) {
    const { measured } = await measurePipeline({ ...options, workers: count }, { seconds });
    const { imagesPerSecond, utilisation } = profileReport(measured);
    const point = { workers: count, imagesPerSecond, cores: utilisation.cores };
    points.push(point);
    onPoint?.(point);
  }
  return points;
}
