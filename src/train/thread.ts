/**
 * `train()` in a thread of its own, so that the caller's thread has its signals, timers and terminal for itself while an update computes.
 *
 *     caller's thread                        thread.worker.ts
 *     startTraining ── task (workerData) ──> train()
 *     hooks         <── a message each ─────  updates, checkpoints, ...
 *     stop, save    ── words in shared memory ──> read between updates
 */
import { SHARE_ENV, Worker } from 'node:worker_threads';
import type { CompanyPlace } from '../engine/company.js';
import type { TrainOptions } from './beginning.js';
import type { TrainHooks } from './hooks.js';
import { RequestWords } from './request-words.js';
import type { TrainResult } from './train.js';

/** What the thread is given. */
export interface TrainTask {
  readonly options: TrainOptions;
  /** File of options, between the preset and `options`. */
  readonly configFile?: string;
  readonly profile: boolean;
  readonly views: boolean;
  /** Among several ranks. */
  readonly place?: CompanyPlace;
}

type Hooks = Required<TrainHooks>;

/** A hook that is called, with what it is given. */
export type HookCall = { [Name in keyof Hooks]: { readonly hook: Name; readonly given: Parameters<Hooks[Name]> } }[keyof Hooks];

/** How it ended: undefined when it was stopped before the run was made. */
export type Ending =
  | { readonly result: TrainResult | undefined }
  | { readonly error: { readonly name: string; readonly message: string; readonly stack?: string } };

export type ThreadMessage = HookCall | Ending;

export interface Training {
  /**
   * Resolves when the thread has ended, to undefined when it was stopped before the run was made.
   * @throws what `train` throws, as an Error of the same name
   */
  readonly result: Promise<TrainResult | undefined>;
  /** Asks for the end: after the update at hand, with a checkpoint. */
  stop(): void;
  /** Asks for a checkpoint after the update at hand. */
  save(): void;
}

/** Trains in a thread; `hooks` are called in this one. */
export function startTraining(task: TrainTask, hooks: TrainHooks): Training {
  const requests = new RequestWords();
  // Engines set variables that C libraries read; those of a thread are a copy that only JavaScript sees, unless they are shared.
  const worker = new Worker(new URL('./thread.worker.js', import.meta.url), {
    env: SHARE_ENV,
    workerData: { task, requests: requests.memory },
  });
  const result = new Promise<TrainResult | undefined>((resolve, reject) => {
    let ending: Ending | undefined;
    worker
      .on('message', (message: ThreadMessage) => {
        if ('hook' in message) call(hooks, message);
        else ending = message;
      })
      .on('error', reject)
      .on('exit', (code) => {
        if (ending === undefined) reject(new Error(`the training thread ended without a result (exit code ${code})`));
        else if ('error' in ending) reject(Object.assign(new Error(ending.error.message), ending.error));
        else resolve(ending.result);
      });
  });
  return {
    result,
    stop: () => {
      requests.stop();
      // For when it waits for data.
      worker.postMessage('stop');
    },
    save: () => requests.save(),
  };
}

function call(hooks: TrainHooks, { hook, given }: HookCall): void {
  (hooks[hook] as ((...given: unknown[]) => void) | undefined)?.(...given);
}
