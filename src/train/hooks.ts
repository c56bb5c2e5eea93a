/** How a run and its caller speak to each other while it goes on. */
import type { EvaluationMetrics, StepMetrics } from './metrics.js';

/** What a caller may listen to; all are called between pieces of work. */
export interface TrainHooks {
  /**
   * After each update.
   *
   * @param totalSteps updates of the whole run, undefined where nobody knows
   * @param estimated whether that is an estimate, which it is until an epoch has been counted
   */
  readonly onStep?: (metrics: StepMetrics, totalSteps: number | undefined, estimated: boolean) => void;
  /** Called when the folder of the run is there, with its `config.json`. */
  readonly onRun?: (path: string) => void;
  /** After each evaluation, that of step 0 included. */
  readonly onEvaluation?: (metrics: EvaluationMetrics) => void;
  /** The folder of a checkpoint that is complete. */
  readonly onCheckpoint?: (path: string) => void;
  /** Called before a piece of work that may take long, with its name: `update 48`, `evaluation`, `waiting for data`; '' where nothing is to be told of what follows. */
  readonly onWork?: (name: string) => void;
  /** A line for people. */
  readonly onInfo?: (message: string) => void;
  /** A line for people about what may be wrong; the run goes on. */
  readonly onWarning?: (message: string) => void;
}

/** How a run is told to stop, or to save what it has. */
export interface TrainRequests {
  /** Finishes the update at hand, writes a checkpoint and returns. */
  readonly signal?: AbortSignal;
  /**
   * Called after each update and each block of an evaluation, before `signal` is looked at; true asks for a checkpoint there. A caller in
   * another thread is heard without a turn of the event loop: what it wrote to shared memory can be read here, and `signal` aborted.
   */
  readonly poll?: () => boolean;
}
