/** `metrics.jsonl` of a run. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** All its lines. */
export async function metricsLines<T extends object>(run: string): Promise<T[]> {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as T);
}

/** All its lines without what the clock and the machine put there: two runs alike have the same. */
export async function clocklessLines<T extends object>(run: string): Promise<T[]> {
  const CLOCK = /^(timeMs|imagesPerSecond|dataWaitMs|stepMs|rssBytes|queues)$/;
  return (await metricsLines<T>(run)).map((line) => Object.fromEntries(Object.entries(line).filter(([name]) => !CLOCK.test(name))) as T);
}
