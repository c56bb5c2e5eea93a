/** What a training loop is given, where it begins and what it comes to. */
import type { Engine } from '../engine/engine.js';
import type { JpegDecoder } from '../engine/jpeg-decoder.js';
import type { OnlineProbe } from '../eval/index.js';
import type { Method } from '../model/index.js';
import type { Batch, SampleInfo } from '../pipeline/batch/batch.js';
import type { ProfileRecorder } from '../pipeline/profile/record.js';
import type { PipelineMeters } from '../pipeline/profile/snapshot.js';
import type { Agreement } from './agreement.js';
import type { BadBudget } from './bad-budget.js';
import type { TrainState } from './checkpoint-state.js';
import type { TrainConfig } from './config-schema.js';
import type { RunRecord } from './followed-run.js';
import type { TrainHooks, TrainRequests } from './hooks.js';
import type { EvaluationResult } from './metrics.js';
import type { Optimizer } from './optimizer/optimizer.js';
import type { Outlook } from './outlook.js';

export interface LoopContext extends TrainRequests {
  readonly config: TrainConfig;
  readonly configDigest: string;
  readonly engine: Engine;
  readonly method: Method;
  readonly optimizer: Optimizer;
  /** Where one learns with the run. */
  readonly probe?: OnlineProbe;
  readonly batches: AsyncIterable<Batch>;
  /** Of batches whose images come compressed. */
  readonly decoder?: JpegDecoder | undefined;
  /** Told of samples whose images that does not decode. */
  readonly onRefused?: ((samples: readonly SampleInfo[]) => void) | undefined;
  /** Of the pipeline that the batches come from. */
  readonly meters: () => Pick<PipelineMeters, 'queues' | 'rssBytes'>;
  readonly run: RunRecord;
  /** Where several ranks train. */
  readonly agreement?: Agreement;
  /** Of several ranks: what they may lose together. */
  readonly badBudget?: BadBudget;
  /** What is known of the data, written before a checkpoint that depends on it. */
  readonly shards?: { save(run: string): Promise<void> };
  /** Absent when there is nothing to evaluate. Awaits `pause` between blocks of images. */
  readonly evaluate?: (pause: () => Promise<void>) => Promise<EvaluationResult>;
  readonly versions: Readonly<Record<string, string>>;
  readonly hooks: TrainHooks;
  readonly outlook: Outlook;
  /** Records updates after the first, and waits for their data; neither evaluations nor checkpoints. */
  readonly recorder?: ProfileRecorder;
}

/** Where a run begins: all zeros, or what a checkpoint says. */
export interface LoopStart extends Pick<TrainState, 'step' | 'epoch' | 'evaluatedStep' | 'pipeline'> {
  /** Folder of that checkpoint. */
  readonly checkpoint?: string;
}

export interface LoopEnd {
  /** Whether every step was done, as opposed to stopped by the signal. */
  readonly finished: boolean;
  readonly step: number;
  readonly epoch: number;
  readonly checkpoint: string;
  readonly loss?: number;
  /** Images a second of updates on one batch that was kept, when a recorder listened. */
  readonly freeRate?: number;
}
