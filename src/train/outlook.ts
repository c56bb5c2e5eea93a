/** What a run will come to, told while it can still be another one: how long it takes, and whether its method suits the data. */
import { inspectEngines, type Engine } from '../engine/index.js';
import { methodKind } from '../model/index.js';
import type { TrainConfig } from './config-schema.js';
import { DAY, durationInWords } from '../common/duration.js';
import type { TrainHooks } from './hooks.js';
import { RecentUpdates } from './recent-updates.js';
import { warmUpConcern } from './schedule.js';

/** After so long it is told how long a run takes, once an update was made that prepares nothing. */
const MEASURED_MS = 10_000;
/** After so long by those that there are: what computes so slowly does so with its kernels prepared, too. */
const SLOW_MS = 60_000;
/** Of what is over so soon nothing is told. */
const BRIEF_SECONDS = 10;
/** The published runs of 200 epochs took days on eight GPUs; few machines stay up for longer than a month. */
const LONG_SECONDS = 30 * DAY;

export interface OutlookOptions {
  readonly config: TrainConfig;
  readonly engine: Pick<Engine, 'name' | 'device'>;
  /** In the shards, as far as that is known. */
  readonly images: number | undefined;
  readonly hooks: Pick<TrainHooks, 'onInfo' | 'onWarning'>;
}

/** An update that was made. */
export interface Updated {
  readonly step: number;
  /** Its wait for data included. */
  readonly ms: number;
  /** Updates of the run, as far as that is known. */
  readonly total: number | undefined;
  /** Whether no epoch has been counted. */
  readonly estimated: boolean;
}

export class Outlook {
  readonly #options: OutlookOptions;
  #concernTold = false;
  #durationTold = false;
  readonly #recentMs = new RecentUpdates<number>();
  #spentMs = 0;

  constructor(options: OutlookOptions) {
    this.#options = options;
  }

  /** Before anything is computed. */
  begin(): void {
    const { config, images, hooks } = this.#options;
    if (images !== undefined) this.#tellConcern(images, true);
    const concern = warmUpConcern(config, this.#updates());
    if (concern !== undefined) hooks.onWarning?.(concern);
  }

  /** At the end of the first epoch, which had this many. */
  counted(images: number): void {
    this.#tellConcern(images, false);
  }

  /** After an update, until it is known how long the run takes. */
  async updated({ step, ms, total, estimated }: Updated): Promise<void> {
    if (this.#durationTold) return;
    this.#recentMs.add(ms);
    this.#spentMs += ms;
    if (total === undefined || this.#spentMs < (this.#recentMs.prepared ? MEASURED_MS : SLOW_MS)) return;
    this.#durationTold = true;
    const { config, hooks } = this.#options;
    const meanMs = this.#recentMs.mean((one) => one) ?? ms;
    const seconds = ((total - step) * meanMs) / 1000;
    if (seconds < BRIEF_SECONDS) return;
    const rate = (1000 * config.batch) / meanMs;
    const told = `about ${durationInWords(seconds)} to go, at ${rate < 10 ? rate.toPrecision(2) : rate.toFixed(0)} images/s (update ${step} of ${estimated ? 'about ' : ''}${total})`;
    if (seconds < LONG_SECONDS) hooks.onInfo?.(told);
    else hooks.onWarning?.(`${told}. ${await this.#remedy()}`);
  }

  /** Updates of the run, before an epoch has been counted. */
  estimatedUpdates(): number | undefined {
    const { steps = Infinity } = this.#options.config;
    const updates = Math.min(steps, this.#updates() ?? Infinity);
    return Number.isFinite(updates) ? updates : undefined;
  }

  /** Of all its epochs, whatever `steps` are. */
  #updates(): number | undefined {
    const { config, images } = this.#options;
    return images === undefined ? undefined : config.epochs * Math.floor(images / config.batch);
  }

  /** The best engine that is passed by, and what it lacks. */
  async #remedy(): Promise<string> {
    const { engine } = this.#options;
    // What is wrong with another engine ends no run.
    const reports = await inspectEngines().catch(() => []);
    const [best] = reports.slice(
      0,
      reports.findIndex(({ name }) => name === engine.name),
    );
    if (best?.available) return `A run with --engine ${best.name}, which works here, is many times faster`;
    if (best)
      return `The engine ${best.name} is many times faster; ${best.reason}: ${best.remedy}. npx detco doctor shows all that this machine offers`;
    const smaller = 'fewer --epochs, smaller images (recipe.globalSize) or a smaller network (method.arch) take less';
    return engine.device === 'cpu'
      ? `A CUDA GPU is many times faster (--device cuda, where npx detco doctor shows one); ${smaller}`
      : smaller;
  }

  /** What does not suit data of this size, once. */
  #tellConcern(images: number, estimated: boolean): void {
    if (this.#concernTold) return;
    const { config, hooks } = this.#options;
    const { method, batch } = config;
    const concern = methodKind(method.name).concern?.(method, { batch, images, estimated });
    if (concern === undefined) return;
    this.#concernTold = true;
    hooks.onWarning?.(concern);
  }
}
