/** The checkpoints that a loop leaves in its run's folder. */
import { saveCheckpoint, updateCheckpoint } from './checkpoint.js';
import type { TrainState } from './checkpoint-state.js';
import { CHECKPOINT_FORMAT } from './format.js';
import type { LoopContext } from './loop-context.js';
import { lossOptions } from './loss-options.js';
import { prune } from './run-checkpoints.js';
import { checkpointTensors } from './tensors.js';

/** Where a loop stands between two updates. */
export interface Place extends Pick<TrainState, 'step' | 'epoch'> {
  readonly evaluatedStep: TrainState['evaluatedStep'] | undefined;
  readonly pipeline: TrainState['pipeline'] | undefined;
}

interface Written {
  readonly step: number;
  readonly path: string;
}

export class Checkpoints {
  readonly #context: LoopContext;
  #newest: Written | undefined;
  #writing = false;

  /** @param newest what the loop began with */
  constructor(context: LoopContext, newest: Written | undefined) {
    this.#context = context;
    this.#newest = newest;
  }

  /** The newest of this loop, or the one it began with. */
  get newest(): Written | undefined {
    return this.#newest;
  }

  /** Whether one is on its way, or failed there. */
  get writing(): boolean {
    return this.#writing;
  }

  /** Writes one where the newest is of an earlier step, else its state alone: what may have moved is the epoch, and whether it was evaluated. */
  async write(place: Place): Promise<string> {
    const { config, run, hooks } = this.#context;
    this.#writing = true;
    run.assertOurs();
    run.sync();
    let newest = this.#newest;
    if (newest?.step === place.step) {
      await updateCheckpoint(newest.path, this.#state(place));
    } else {
      const since = newest?.step ?? 0;
      newest = { step: place.step, path: await this.save(run.path, place) };
      this.#newest = newest;
      await prune(run.path, { newest: place.step, since, keep: config.keepCheckpoints });
      // Last: as long as a later checkpoint may be the newest, its lines are needed.
      await run.settle();
      hooks.onCheckpoint?.(newest.path);
    }
    this.#writing = false;
    return newest.path;
  }

  /** Writes one into any folder. @returns its path */
  async save(folder: string, place: Place): Promise<string> {
    await this.#context.shards?.save(folder);
    return saveCheckpoint(folder, this.#state(place), checkpointTensors(this.#context));
  }

  #state({ step, epoch, evaluatedStep, pipeline }: Place): TrainState {
    const { config, configDigest, engine, method, versions } = this.#context;
    return {
      format: CHECKPOINT_FORMAT,
      step,
      epoch,
      ...(evaluatedStep === undefined ? {} : { evaluatedStep }),
      ...(pipeline === undefined ? {} : { pipeline }),
      method: { name: config.method.name, host: method.host, encoders: method.encoders },
      seed: config.seed,
      engine: engine.name,
      configDigest,
      options: lossOptions(config),
      versions,
    };
  }
}
