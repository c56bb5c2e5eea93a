/** The types of a report. */
import type { PipelineSetup } from './snapshot.js';

/**
 * `consumer`: it hardly ever waits. `cores`: too few of them, or too few workers for them. `contention`: cores rest while workers that
 * have work wait for a core or for each other. `libuv`: too few decoding threads. `lanes`: too few images are decoded at a time. `network`, `disk`: bytes come too slowly. `event-loop`: batches
 * are ready and the consumer's thread is too busy to take them.
 */
export type BindingResource = 'consumer' | 'cores' | 'contention' | 'libuv' | 'lanes' | 'network' | 'disk' | 'event-loop';

/** What the consumer's waiting is made of; sums to 1. */
export type WaitShares = Readonly<Record<'source' | 'tar' | 'decode' | 'augment' | 'handoff', number>>;

/** A stage of the pipeline, over all lanes. */
export interface StageReport {
  readonly name: string;
  readonly kind: 'work' | 'wait';
  readonly count: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  /** Visits under way at a time, on average, of those there can be: lanes, threads, cores. */
  readonly utilisation: number;
  /** Share of the visits that found what they came for; only of stages that wait. */
  readonly readiness: number | undefined;
  /** Share of the consumer's waiting that is due to this stage; these sum to 1. */
  readonly shareOfWaiting: number | undefined;
  readonly bytes: number;
  readonly bytesPerSecond: number;
  readonly failures: number;
}

/** Shares of 1. */
export interface Contention {
  /** Runnable, without a core. */
  readonly runnable: number;
  /** Neither on a core nor runnable: waiting for memory, for a lock, for the collector of garbage. */
  readonly blocked: number;
}

/** How busy everything is that can be, as shares of 1. */
export interface Utilisation {
  /** CPU time of this process in the cores it may use. */
  readonly cores: number;
  /** CPU time of all processes in all cores of the machine; 0 where the system does not tell. */
  readonly machine: number;
  /** Event loops of the workers, one by one. */
  readonly workers: readonly number[];
  /** Of all images, those that the workers' own threads decoded, had kept decoded or left compressed. */
  readonly decodedByWorkers: number;
  /** Of all images, those that were left compressed for a device to decode. */
  readonly leftToDevice: number;
  /** Of the time in which workers had something to do; absent where the system does not tell. */
  readonly contention?: Contention;
  /** Event loop of the consumer's thread. */
  readonly consumerLoop: number;
  /** Images in the decoder at a time. */
  readonly decoding: number;
  /** Images that waited for a decoding thread when another came, on average. */
  readonly decoderQueue: number;
  /** Lanes that wait for bytes. */
  readonly source: number;
}

/** What a measurement means: verdict, advice, stages. `detco profile --json` prints it. */
export interface ProfileReport {
  readonly imagesPerSecond: number;
  /** Share of the consumer's time that it waited for a batch. */
  readonly dataWaitShare: number;
  readonly verdict: string;
  readonly bindingResource: BindingResource;
  readonly nextStep: string;
  readonly stages: readonly StageReport[];
  readonly waitShares: WaitShares;
  /** Whether the consumer did nothing but ask for the next batch. */
  readonly drained: boolean;
  readonly seconds: number;
  readonly images: number;
  readonly steps: number;
  /** `next()`, without the first batches of epochs. */
  readonly wait: { readonly p50Ms: number; readonly p90Ms: number; readonly p99Ms: number; readonly readiness: number };
  /** `next()` for the first batch of an epoch. */
  readonly epochFirst: { readonly count: number; readonly p50Ms: number; readonly p99Ms: number };
  /** Start of the workers to the first batch of all. */
  readonly firstBatchMs?: number;
  /** Images a second that the consumer would take if it never waited; absent when it does nothing. */
  readonly demand?: number;
  /** Images a second that the pipeline can give. */
  readonly supply: { readonly imagesPerSecond: number; readonly measured: boolean };
  /** With the same batch handed over again and again: measured. */
  readonly ifDataWereFree?: { readonly imagesPerSecond: number; readonly gain: number };
  /** What the cores would give if they did nothing else: an estimate, and an upper bound. */
  readonly ceiling: { readonly cpuMsPerImage: number; readonly imagesPerSecond: number };
  readonly utilisation: Utilisation;
  /** What bytes come from; remote shards that the cache folder has come from the disk. */
  readonly medium: 'network' | 'disk';
  readonly bytesPerSecond: number;
  /** Bytes fetched for a byte of an image that was used. */
  readonly amplification: number;
  readonly bytesPerImage: number;
  readonly retries: number;
  readonly badSamples: number;
  readonly rssBytes: number;
  readonly setup: PipelineSetup;
}

/** What the conclusion is drawn from. */
export type Facts = Omit<ProfileReport, 'verdict' | 'bindingResource' | 'nextStep' | 'stages'>;
