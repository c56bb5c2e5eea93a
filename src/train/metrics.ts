/** What a line of `metrics.jsonl` says: of an update, or of an evaluation. */
import type { PipelineMeters } from '../pipeline/profile/snapshot.js';

/** One update. */
export interface StepMetrics {
  /** Updates done, this one included. */
  readonly step: number;
  /** From 0. */
  readonly epoch: number;
  /** When it was done, in milliseconds since 1970 (UTC). */
  readonly timeMs: number;
  readonly loss: number;
  /** Unweighted parts of the loss, such as `gg.res4`. */
  readonly terms: Readonly<Record<string, number>>;
  readonly lr: number;
  readonly imagesPerSecond: number;
  /** Time spent waiting for the batch. */
  readonly dataWaitMs: number;
  /** Time from having the batch to having the loss. */
  readonly stepMs: number;
  /** Memory of this process, threads included, in bytes. */
  readonly rssBytes: number;
  /** What waits between the pipeline's stages in this process: samples, and in `full` batches. */
  readonly queues: PipelineMeters['queues'];
  /** Mean over dimensions of the standard deviation of the unit-norm queries; 1/sqrt(dimensions) when they are spread, 0 when they collapsed. */
  readonly featureStd: number;
  /** Of the linear probe on this batch before it learned from it: share of right answers, [0, 1]. */
  readonly probeTop1?: number;
  /** Its mean cross-entropy on this batch. */
  readonly probeLoss?: number;
}

/** What an evaluation of the query encoder found: of what was asked for. */
export interface EvaluationResult {
  /** Share of right answers, [0, 1], with features of the last stage. */
  readonly knnTop1?: number;
  /** The same for every stage that was asked for. */
  readonly knnTop1ByStage?: Readonly<Record<string, number>>;
  /** Of the training images' features of the last stage: 1 to their dimensions. */
  readonly effectiveRank?: number;
  /** Mean over dimensions of the standard deviation of these features at unit norm; 0 when they are all alike. */
  readonly featureDeviation?: number;
  /** Share of right answers of the linear probe that learns with the run, [0, 1]. */
  readonly probeTop1?: number;
}

/** One evaluation, and when it was made. */
export interface EvaluationMetrics extends EvaluationResult {
  /** Updates done before it; 0 is the untrained network. */
  readonly step: number;
  readonly epoch: number;
  /** When it was done, in milliseconds since 1970 (UTC). */
  readonly timeMs: number;
}
