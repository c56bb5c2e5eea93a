/** The training loop: batches in, updates, metrics, evaluations and checkpoints out. */
import type { Batch, PipelineState } from '../pipeline/batch/batch.js';
import { type Agreement, AllFailed, StopAgreed } from './agreement.js';
import { Checkpoints, type Place } from './loop-checkpoints.js';
import type { LoopContext, LoopEnd, LoopStart } from './loop-context.js';
import { copied, freeRate } from './free-rate.js';
import { afterFailure } from './failure.js';
import { CollapseWatch } from './collapse.js';
import type { EvaluationMetrics, StepMetrics } from './metrics.js';
import { checkpointFolder, lastCheckpoint } from './run-checkpoints.js';
import type { Updated } from './outlook.js';
import { likelyCauses } from './likely-causes.js';
import { probeRoom } from './memory.js';
import { ProbeLabels } from './probe-labels.js';
import { learningRate } from './schedule.js';
import { Staging, type StagedBatch } from './staging.js';
import { createTrainStep, nonFiniteTerm, type StagedViews, type StepSettings, type StepResult, type Told, type TrainStep } from './step.js';
import { turn } from './turn.js';

/** Runs until all epochs or steps are done, or the signal says stop. Throws when the loss is no longer a number or memory does not suffice. */
export async function trainLoop(context: LoopContext, start: LoopStart): Promise<LoopEnd> {
  const loop = new Loop(context, start);
  return loop.run();
}

class Loop {
  readonly #context: LoopContext;
  #step: number;
  /** The epoch whose end comes next. */
  #epoch: number;
  #evaluatedStep: number | undefined;
  #pipeline: PipelineState | undefined;
  #loss: number | undefined;
  /** A batch of this call, for a recorder. */
  #kept: Batch | undefined;
  /** Whether an update is on its way: its weights are of no step. */
  #updating = false;
  /** Whether the first update is done. */
  #prepared = false;
  /** What the ranks told each other with the last update. */
  #agreed: Told = { stop: false, save: false, badSamples: 0 };
  readonly #checkpoints: Checkpoints;
  readonly #collapse: CollapseWatch;
  readonly #probeLabels: ProbeLabels | undefined;
  readonly #trainStep: TrainStep;

  constructor(context: LoopContext, start: LoopStart) {
    this.#context = context;
    this.#step = start.step;
    this.#epoch = start.epoch;
    this.#evaluatedStep = start.evaluatedStep;
    this.#pipeline = start.pipeline;
    this.#checkpoints = new Checkpoints(context, start.checkpoint === undefined ? undefined : { step: start.step, path: start.checkpoint });
    this.#collapse = new CollapseWatch(context.method.dimensions);
    const { probe, engine, hooks } = context;
    this.#probeLabels = probe && new ProbeLabels(probe, { room: probeRoom(engine), warn: (message) => hooks.onWarning?.(message) });
    const { method, groupRows } = context.config;
    this.#trainStep = createTrainStep({ ...context, ...(groupRows === 'interleaved' && { interleaved: method.bnGroups }) });
  }

  async run(): Promise<LoopEnd> {
    const { signal, config } = this.#context;
    let finished = false;
    try {
      if (this.#step === 0) {
        await this.#evaluate();
        await this.#checkpoint();
      }
      finished = this.#atLimit() || (await this.#updates());
      if (finished && this.#epoch < config.epochs && !this.#atLimit()) this.#epoch = config.epochs;
      if (finished) await this.#evaluate();
    } catch (error) {
      const stopped = error instanceof StopAgreed || (signal?.aborted && error === signal.reason);
      if (!stopped) throw await this.#failed(error);
      finished = false;
    }
    const checkpoint = await this.#checkpoint().catch(async (error: unknown) => {
      throw await this.#failed(error);
    });
    const end = { finished, step: this.#step, epoch: this.#epoch, checkpoint, ...(this.#loss === undefined ? {} : { loss: this.#loss }) };
    const freeRate = await this.#freeRate();
    return { ...end, ...(freeRate === undefined ? {} : { freeRate }) };
  }

  async #failed(cause: unknown): Promise<unknown> {
    const { run, config, agreement } = this.#context;
    if (agreement && cause instanceof AllFailed) return this.#allFailed(cause, agreement);
    const unsaved = !this.#checkpoints.writing && this.#step > (this.#checkpoints.newest?.step ?? 0);
    const save = (folder: string) => this.#checkpoints.save(folder, this.#place());
    const failed = { run, step: this.#step, batch: config.batch, unsaved, ...(!this.#updating && !agreement && { save }) };
    const error = await afterFailure(cause, failed);
    return agreement ? agreement.explain(error, run.path) : error;
  }

  /** After an update, before a checkpoint of it. */
  async #allFailed({ cause }: AllFailed, agreement: Agreement): Promise<unknown> {
    const { run, config } = this.#context;
    const save = async (folder: string): Promise<string> => {
      const pipeline = await agreement.joined(this.#pipeline);
      try {
        if (!agreement.leads) return checkpointFolder(folder, this.#step);
        return await this.#checkpoints.save(folder, { ...this.#place(), pipeline });
      } finally {
        // Whoever started the ranks ends the others soon after the first has ended.
        await agreement.together(undefined);
      }
    };
    return afterFailure(cause, { run, step: this.#step, batch: config.batch, unsaved: true, save });
  }

  /** @returns whether the last update of the run was reached */
  async #updates(): Promise<boolean> {
    const { batches, config, hooks, outlook, recorder } = this.#context;
    const staging = new Staging(batches, (batch) => this.#stage(batch));
    try {
      let waitingSince = performance.now();
      const next = () => {
        hooks.onWork?.('waiting for data');
        return staging.next();
      };
      for (let batch = await next(); batch; batch = await next()) {
        const dataWaitMs = performance.now() - waitingSince;
        if (this.#epoch < batch.epoch) recorder?.pause();
        while (this.#epoch < batch.epoch) await this.#endEpoch();
        if (this.#prepared) recorder?.resume();
        const updated = await this.#update(batch, dataWaitMs, staging);
        if (this.#atLimit()) return true;
        this.#assertFewBad();
        if (config.checkpointEvery !== undefined && this.#step % config.checkpointEvery === 0) {
          recorder?.pause();
          await this.#checkpoint();
        }
        await this.#pause();
        // A run that was told to stop has no more to go.
        await outlook.updated(updated);
        // The first update prepares kernels; what comes after it counts.
        recorder?.resume();
        waitingSince = performance.now();
      }
      return true;
    } finally {
      recorder?.pause();
      await staging.close();
    }
  }

  /** Between two pieces of work, evaluations included: the rest of the process has its turn, and the caller is heard. Throws when it says stop. */
  async #pause(): Promise<void> {
    const { signal, poll, recorder, agreement } = this.#context;
    await turn();
    const save = agreement ? this.#agreed.save : poll?.();
    if (save) {
      recorder?.pause();
      await this.#checkpoint();
    }
    if (!agreement) signal?.throwIfAborted();
    else if (this.#agreed.stop) throw new StopAgreed();
  }

  /** Of several ranks; the pipeline of a process that is alone counts for itself. */
  #assertFewBad(): void {
    const { badBudget, config } = this.#context;
    const problem = badBudget?.after(config.batch, this.#agreed.badSamples);
    if (problem) throw new AllFailed(problem.message, { cause: problem });
  }

  /** What all ranks are to hear of with the next update. */
  #tell(): Told {
    const { signal, poll, badBudget } = this.#context;
    return { stop: signal?.aborted ?? false, save: poll?.() ?? false, badSamples: badBudget?.own ?? 0 };
  }

  #stage(batch: Batch): Promise<StagedViews> {
    if (this.#context.recorder) this.#kept ??= copied(batch);
    return this.#trainStep.stage(batch);
  }

  async #update(batch: StagedBatch, dataWaitMs: number, staging: Staging): Promise<Updated> {
    const { config, run, hooks, recorder, agreement, engine } = this.#context;
    const began = performance.now();
    const lr = learningRate(config, batch.epoch, this.#step);
    const labels = this.#probeLabels?.of(batch);
    this.#updating = true;
    hooks.onWork?.(`update ${this.#step + 1}`);
    const settings = { ...this.#settings(batch.epoch, lr), ...(agreement && { told: this.#tell() }) };
    const running = this.#trainStep.run(batch.views, settings, labels);
    if (config.steps === undefined || this.#step + 1 < config.steps) staging.prefetch();
    const result = await running;
    const stepMs = performance.now() - began;
    if (this.#prepared) recorder?.step({ images: batch.size, waitMs: dataWaitMs, stepMs });
    this.#prepared = true;
    this.#step++;
    this.#pipeline = batch.state;
    this.#loss = result.loss;
    this.#agreed = result.told ?? this.#agreed;
    await this.#assertFinite(result, lr);
    this.#updating = false;

    const imagesPerSecond = (1000 * engine.ranks.size * batch.size) / (dataWaitMs + stepMs);
    const { queues, rssBytes } = this.#context.meters();
    const metrics: StepMetrics = {
      step: this.#step,
      epoch: batch.epoch,
      timeMs: Date.now(),
      loss: result.loss,
      terms: result.terms,
      lr,
      imagesPerSecond: round(imagesPerSecond),
      dataWaitMs: round(dataWaitMs),
      stepMs: round(stepMs),
      rssBytes,
      queues,
      featureStd: result.featureStd,
      ...(result.probe && { probeTop1: result.probe.top1, probeLoss: result.probe.loss }),
    };
    run.appendMetrics(metrics);
    const total = this.#totalSteps();
    const estimated = batch.state.epoch === 0 && total !== config.steps;
    hooks.onStep?.(metrics, total, estimated);
    const warning = this.#collapse.observe(metrics);
    if (warning !== undefined) hooks.onWarning?.(warning);
    // As the listeners were told: who adds up what they heard comes to the same.
    return { step: this.#step, ms: metrics.dataWaitMs + metrics.stepMs, total, estimated };
  }

  #settings(epoch: number, lr: number): StepSettings {
    return { step: this.#step, progress: Math.min(1, epoch / this.#context.config.epochs), epoch, learningRate: lr };
  }

  /** What an update takes when nothing is waited for; undefined without a recorder, or when the signal says stop. */
  async #freeRate(): Promise<number | undefined> {
    const kept = this.#kept;
    const { config, signal, poll } = this.#context;
    // The others would have to make the same updates.
    if (kept === undefined || this.#context.agreement) return undefined;
    const settings = this.#settings(kept.epoch, learningRate(config, kept.epoch, this.#step));
    return freeRate(this.#trainStep, kept, settings, () => {
      poll?.();
      return signal?.aborted ?? false;
    });
  }

  async #endEpoch(): Promise<void> {
    const { config, outlook } = this.#context;
    const { evalEvery, batch } = config;
    if (this.#epoch === 0) outlook.counted(this.#step * batch);
    if ((this.#epoch + 1) % evalEvery === 0) await this.#evaluate();
    this.#epoch++;
    await this.#checkpoint();
    await this.#pause();
  }

  async #evaluate(): Promise<void> {
    const { evaluate, run, hooks } = this.#context;
    if (evaluate === undefined || this.#evaluatedStep === this.#step) return;
    hooks.onWork?.('evaluation');
    const found = await evaluate(() => this.#pause());
    this.#evaluatedStep = this.#step;
    if (Object.keys(found).length === 0) return;
    const metrics: EvaluationMetrics = { step: this.#step, epoch: this.#epoch, timeMs: Date.now(), ...found };
    run.appendMetrics(metrics);
    hooks.onEvaluation?.(metrics);
  }

  /** Writes a checkpoint where the newest is of an earlier step, else its state. */
  async #checkpoint(): Promise<string> {
    const { hooks, agreement, run } = this.#context;
    hooks.onWork?.('checkpoint');
    const place = this.#place();
    if (!agreement) return this.#checkpoints.write(place);
    const pipeline = await agreement.joined(place.pipeline);
    return agreement.leads ? this.#checkpoints.write({ ...place, pipeline }) : checkpointFolder(run.path, place.step);
  }

  #place(): Place {
    return { step: this.#step, epoch: this.#epoch, evaluatedStep: this.#evaluatedStep, pipeline: this.#pipeline };
  }

  #atLimit(): boolean {
    const { steps } = this.#context.config;
    return steps !== undefined && this.#step >= steps;
  }

  #totalSteps(): number | undefined {
    const { config, outlook } = this.#context;
    const { epochs, steps = Infinity } = config;
    const { epoch = 0, epochStart = 0 } = this.#pipeline ?? {};
    if (epoch > 0) return Math.min(steps, Math.round((epochStart / epoch) * epochs));
    const estimate = outlook.estimatedUpdates() ?? 0;
    return estimate < this.#step ? undefined : estimate;
  }

  async #assertFinite(result: StepResult, lr: number): Promise<void> {
    const term = nonFiniteTerm(result);
    if (term === undefined) return;
    const { run, config } = this.#context;
    const value = result.terms[term] ?? result.loss;
    const good = (await lastCheckpoint(run.path)) ?? 'none';
    throw new Error(
      `Loss is ${value} at step ${this.#step} (first in ${term}). The last good checkpoint is ${good}; ` +
        `start another run. ${likelyCauses(config, lr)}`,
    );
  }
}

/** Two decimals: enough for milliseconds and images per second. */
function round(value: number): number {
  return Math.round(100 * value) / 100;
}
