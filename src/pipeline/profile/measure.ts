/** Runs a pipeline for a while with a consumer of a given pace, and records it. */
import type { Batch } from '../batch/batch.js';
import type { PipelineOptions } from '../options.js';
import { createPipeline } from '../create-pipeline.js';
import { rate } from './format.js';
import { clock, type Span } from './meters.js';
import { Pace } from './pace.js';
import { type Drained, type Measured, ProfileRecorder } from './record.js';

/** How a pipeline is measured. */
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
 * @throws RangeError for a consumer that takes longer than `seconds` for a batch; besides as `createPipeline` and its iteration do
 */
export async function measurePipeline(
  options: PipelineOptions,
  { seconds, consume, onPhase }: MeasureOptions,
): Promise<{ readonly measured: Measured; readonly spans: readonly Span[] }> {
  if (consume !== undefined) assertPace(consume, options.batchSize, seconds);
  const began = clock();
  await using pipeline = await createPipeline({ ...options, epochs: ENDLESS });
  const { slots, batchSize } = pipeline.meters().setup;
  const batches = pipeline[Symbol.asyncIterator]();
  const next = async (): Promise<Batch> => {
    const { value, done } = await batches.next();
    if (done === true) throw options.signal?.reason ?? new Error('The pipeline ended while it was measured.');
    return value;
  };
  const sideMs = 1000 * Math.max(1, SIDE_SHARE * seconds);
  const pace = consume === undefined ? undefined : new Pace((1000 * batchSize) / consume, options.signal);
  const recorder = new ProfileRecorder(pipeline);

  await next();
  const firstBatchMs = clock() - began;
  for (let warm = 1; warm < slots; warm++) await next();

  let supply: Drained | undefined;
  if (pace) {
    onPhase?.('what the pipeline can give');
    supply = await drain(next, sideMs);
    // The slots, empty by now, fill again.
    for (let settled = 0; settled < slots; settled++) {
      await next();
      await pace.step();
    }
  }

  onPhase?.(pace ? 'pipeline and consumer' : 'the pipeline, drained');
  const sampler = setInterval(() => recorder.sample(clock()), SAMPLE_MS);
  try {
    recorder.resume();
    for (let asked = clock(), end = asked + 1000 * seconds; asked < end; asked = clock()) {
      const { size } = await next();
      const got = clock();
      await pace?.step();
      const done = clock();
      recorder.step({ images: size, waitMs: got - asked, stepMs: done - got }, done);
    }
    recorder.pause();
  } finally {
    clearInterval(sampler);
  }

  if (pace) onPhase?.('the consumer, with data for nothing');
  const free = await pace?.rate(batchSize, sideMs);
  const measured = recorder.measured({
    drained: pace === undefined,
    firstBatchMs,
    ...(supply === undefined ? {} : { supply }),
    ...(free === undefined ? {} : { free }),
  });
  return { measured, spans: pipeline.spans() };
}

/** Of a batch that takes longer than the measurement nothing would be measured. */
function assertPace(consume: number, batchSize: number, seconds: number): void {
  if (batchSize / consume <= seconds) return;
  throw new RangeError(
    `consume (--consume) ${consume}: a batch of ${batchSize} takes ${rate(batchSize / consume)} s at this rate, longer than the ${seconds} s to measure; ` +
      `use ${Math.ceil(batchSize / seconds)} or more images a second, a smaller batch or more seconds (--seconds)`,
  );
}

/** What the pipeline gives a consumer that only asks. */
async function drain(next: () => Promise<Batch>, ms: number): Promise<Drained> {
  const [began, cpu] = [clock(), process.cpuUsage()];
  let images = 0;
  while (clock() - began < ms) images += (await next()).size;
  const { user, system } = process.cpuUsage(cpu);
  return { imagesPerSecond: (1000 * images) / (clock() - began), cpuMsPerImage: (user + system) / 1000 / images };
}
