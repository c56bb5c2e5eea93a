/** Records a stretch of a pipeline's life: totals between two snapshots, the consumer's steps, and the queues over time. */
import { clock } from './meters.js';
import { elapsed, type PipelineMeters, type PipelineSetup, sum, type Totals } from './snapshot.js';

/** One step of the consumer, or several that were put together. */
export interface Step {
  /** When its batch came, on the meters' clock. */
  readonly ms: number;
  readonly steps: number;
  readonly images: number;
  /** Time waited for the batch, milliseconds. */
  readonly waitMs: number;
  /** Time until the consumer asked for the next, milliseconds. */
  readonly stepMs: number;
}

/** Items between the stages at one time. */
export interface QueueSample {
  readonly ms: number;
  readonly queues: PipelineMeters['queues'];
  readonly rssBytes: number;
}

/** What a pipeline gave to a consumer that only asks. */
export interface Drained {
  readonly imagesPerSecond: number;
  /** CPU time of the process, all threads. */
  readonly cpuMsPerImage: number;
}

/** What was recorded; `profileReport` makes sense of it. */
export interface Measured {
  readonly setup: PipelineSetup;
  readonly totals: Totals;
  /** Reads of remote shards since the pipeline began. */
  readonly cache: Totals['cache'];
  readonly steps: readonly Step[];
  readonly samples: readonly QueueSample[];
  /** Whether the consumer did nothing but ask for the next batch. */
  readonly drained: boolean;
  /** Time from the start of the pipeline to its first batch. */
  readonly firstBatchMs?: number;
  /** Of the pipeline for a consumer that only asks, before the part that counts. */
  readonly supply?: Drained;
  /** Rate of the consumer when the same batch is handed to it again and again, images a second. */
  readonly free?: number;
}

/** As many points as a figure can show; beyond them neighbours are put together. */
const MOST_POINTS = 1024;
const SAMPLE_MS = 100;

/** Collects the meters of a pipeline and the steps of its consumer, for `profileReport`. */
export class ProfileRecorder {
  readonly #pipeline: { meters(): PipelineMeters };
  #totals: Totals | undefined;
  #since: Totals | undefined;
  #steps: Step[] = [];
  #stepsEach = 1;
  #samples: QueueSample[] = [];
  #sampleMs = SAMPLE_MS;
  #sampledAt = -Infinity;

  constructor(pipeline: { meters(): PipelineMeters }) {
    this.#pipeline = pipeline;
  }

  /** What happens from here on counts. */
  resume(): void {
    this.#since ??= this.#pipeline.meters().totals;
  }

  /** What happens from here on does not count. */
  pause(): void {
    if (!this.#since) return;
    const stretch = elapsed(this.#since, this.#pipeline.meters().totals);
    this.#totals = this.#totals ? sum(this.#totals, stretch) : stretch;
    this.#since = undefined;
  }

  /** Notes a step of the consumer: how many images it took, how long it waited for them and how long it worked, in milliseconds. */
  step({ images, waitMs, stepMs }: Pick<Step, 'images' | 'waitMs' | 'stepMs'>, now = clock()): void {
    const last = this.#steps.at(-1);
    const step = { ms: now, steps: 1, images, waitMs, stepMs };
    if (last && last.steps < this.#stepsEach) this.#steps[this.#steps.length - 1] = together(last, step);
    else this.#steps.push(step);
    if (this.#steps.length > MOST_POINTS) {
      this.#stepsEach *= 2;
      this.#steps = this.#steps.reduce<Step[]>((kept, one, index) => {
        const before = kept.at(-1);
        if (index % 2 === 1 && before) kept[kept.length - 1] = together(before, one);
        else kept.push(one);
        return kept;
      }, []);
    }
    this.sample(now);
  }

  /** Notes the queues, unless that was done a moment ago. */
  sample(now: number): void {
    if (!this.#since || now - this.#sampledAt < this.#sampleMs) return;
    this.#sampledAt = now;
    const { queues, rssBytes } = this.#pipeline.meters();
    this.#samples.push({ ms: now, queues, rssBytes });
    if (this.#samples.length > MOST_POINTS) {
      this.#sampleMs *= 2;
      this.#samples = this.#samples.filter((_, index) => index % 2 === 0);
    }
  }

  /** Ends the recording. */
  measured(rest: Pick<Measured, 'drained' | 'firstBatchMs' | 'supply' | 'free'>): Measured {
    this.pause();
    const { setup, totals } = this.#pipeline.meters();
    return {
      setup,
      totals: this.#totals ?? elapsed(totals, totals),
      cache: totals.cache,
      steps: this.#steps,
      samples: this.#samples,
      ...rest,
    };
  }
}

function together(a: Step, b: Step): Step {
  return {
    ms: a.ms,
    steps: a.steps + b.steps,
    images: a.images + b.images,
    waitMs: a.waitMs + b.waitMs,
    stepMs: a.stepMs + b.stepMs,
  };
}
