/** What updates would come to if data were free: measured on one batch that is kept. */
import type { Batch } from '../pipeline/batch/batch.js';
import type { StepSettings, TrainStep } from './step.js';
import { turn } from './turn.js';

/** So many at least, after one that does not count, and for so long. */
const UPDATES = 4;
const MS = 2000;

/**
 * @param settings of every update; the weights that come of it are seen by nobody
 * @param stopped asked between updates
 * @returns images a second; undefined when it was stopped
 */
export async function freeRate(
  trainStep: TrainStep,
  batch: Batch,
  settings: StepSettings,
  stopped: () => boolean,
): Promise<number | undefined> {
  if (stopped()) return undefined;
  const update = async () => trainStep.run(await trainStep.stage(batch), settings);
  await update();
  const began = performance.now();
  let updates = 0;
  for (; updates < UPDATES || performance.now() - began < MS; updates++) {
    await turn();
    if (stopped()) return undefined;
    await update();
  }
  return (1000 * updates * batch.size) / (performance.now() - began);
}

/** A batch with pixels of its own. */
export function copied(batch: Batch): Batch {
  const { epoch, step, size, samples, plans, state } = batch;
  const views = Object.fromEntries(
    Object.entries(batch.views).map(([name, view]) => [name, Object.assign({}, view, { data: view.data.slice() })]),
  );
  const compressed = batch.compressed?.map((image) => image && { ...image, data: image.data.slice() });
  return { epoch, step, size, samples, plans, state, views, ...(compressed && { compressed }), retain: () => {}, release: () => {} };
}
