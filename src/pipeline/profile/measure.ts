/** Runs a pipeline for a while with a consumer of a given pace, and records it. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { PipelineOptions } from '../options.js';
import { createPipeline } from '../pipeline.js';
import { clock, type Span } from './meters.js';
import { type Measured, ProfileRecorder } from './record.js';

export interface MeasureOptions {
  /** Length of the part that counts, seconds. */
  readonly seconds: number;
  /** Images a second that the consumer takes when it need not wait; without it the consumer only asks for the next batch. */
  readonly consume?: number;
  /** Told what is measured next. */
  readonly onPhase?: (phase: string) => void;
}

const SAMPLE_MS = 50;
/** Length of the parts besides the main one: the supply, and the consumer without a pipeline. */
const SIDE_SHARE = 0.25;
/** An epoch must not end the measurement. */
const ENDLESS = 0x7fffffff;

/**
 * Measures from when all slots have gone round once. With `consume` it measures besides what the pipeline can give (before) and
 * what the consumer would take if data were free (after).
 *
 * @returns the measurement, and as many spans as `options.spans` says
 * @throws as `createPipeline` and its iteration do
 */
export async function measurePipeline(
  options: PipelineOptions,
  { seconds, consume, onPhase }: MeasureOptions,
): Promise<{ readonly measured: Measured; readonly spans: readonly Span[] }> {
  const began = clock();
  await using pipeline = await createPipeline({ ...options, epochs: ENDLESS });
  const { slots, batchSize } = pipeline.meters().setup;
  const recorder = new ProfileRecorder(pipeline);
  const sideMs = 1000 * Math.max(1, SIDE_SHARE * seconds);
  const pace = consume === undefined ? undefined : new Pace((1000 * batchSize) / consume);
  let firstBatchMs = 0;
  let phase: 'warm-up' | 'supply' | 'main' = 'warm-up';
  let phaseBegan = began;
  let asked = began;
  let images = 0;
  let supply: number | undefined;
  let free: number | undefined;
  const sampler = setInterval(() => recorder.sample(clock()), SAMPLE_MS);
  const enter = (next: typeof phase, now: number) => {
    phase = next;
    phaseBegan = now;
    images = 0;
    onPhase?.(next === 'supply' ? 'what the pipeline can give' : consume === undefined ? 'the pipeline, drained' : 'pipeline and consumer');
    if (next === 'main') recorder.resume();
  };
  try {
    for await (const batch of pipeline) {
      const got = clock();
      firstBatchMs ||= got - began;
      images += batch.size;
      if (phase === 'warm-up') {
        if (batch.step + 1 >= slots) enter(pace ? 'supply' : 'main', got);
      } else if (phase === 'supply') {
        if (got - phaseBegan >= sideMs) {
          supply = (1000 * images) / (got - phaseBegan);
          enter('main', got);
        }
      } else {
        await pace?.step();
        const done = clock();
        recorder.step({ images: batch.size, waitMs: got - asked, stepMs: done - got }, done);
        if (done - phaseBegan >= 1000 * seconds) {
          recorder.pause();
          if (pace) {
            onPhase?.('the consumer, with data for nothing');
            free = await pace.rate(batchSize, sideMs);
          }
          break;
        }
      }
      asked = clock();
    }
  } finally {
    clearInterval(sampler);
  }
  const measured = recorder.measured({
    drained: pace === undefined,
    firstBatchMs,
    ...(supply === undefined ? {} : { supply }),
    ...(free === undefined ? {} : { free }),
  });
  return { measured, spans: pipeline.spans() };
}

/** A consumer that takes the same time for every batch, on average: a timer that came late is made up for. */
class Pace {
  readonly #stepMs: number;
  #late = 0;

  constructor(stepMs: number) {
    this.#stepMs = stepMs;
  }

  async step(): Promise<void> {
    const began = performance.now();
    const wanted = this.#stepMs - this.#late;
    if (wanted > 0) await sleep(wanted);
    // More than a step's worth is the machine's doing, not the timer's.
    this.#late = Math.min(performance.now() - began - wanted, this.#stepMs);
  }

  /** Images a second when nothing is waited for. */
  async rate(batchSize: number, ms: number): Promise<number> {
    const began = performance.now();
    let images = 0;
    for (; performance.now() - began < ms; images += batchSize) await this.step();
    return (1000 * images) / (performance.now() - began);
  }
}
