/** Run directories as a trainer leaves them, with metrics that a test chooses. */
import { appendFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface Line {
  readonly step: number;
  readonly loss?: number;
}

export function lineText({ step, loss = 10 / step }: Line): string {
  return `${JSON.stringify({ step, epoch: Math.floor((step - 1) / 10), loss, terms: { 'gg.res5': loss }, lr: 0.1, dataWaitMs: 1, stepMs: 3 })}\n`;
}

export const linesText = (from: number, to: number): string =>
  Array.from({ length: to - from + 1 }, (_, index) => lineText({ step: from + index })).join('');

/** @returns the path of the run */
export async function writeRun(path: string, metrics: string, config: object = { batch: 8, epochs: 2 }): Promise<string> {
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'config.json'), JSON.stringify(config));
  await writeFile(join(path, 'metrics.jsonl'), metrics);
  return path;
}

export const appendMetrics = (run: string, text: string): Promise<void> => appendFile(join(run, 'metrics.jsonl'), text);
