/** The event files of a run, whose failure is no failure of the run. */
import { join } from 'node:path';
import type { EvaluationMetrics, StepMetrics } from '../metrics.js';
import { EventFiles, type LogStart, TENSORBOARD } from './event-files.js';

export class TensorBoardLog {
  readonly #run: string;
  readonly #warn: ((message: string) => void) | undefined;
  /** Undefined once they cannot be written. */
  #files: EventFiles | undefined;

  private constructor(run: string, warn: ((message: string) => void) | undefined) {
    this.#run = run;
    this.#warn = warn;
  }

  /**
   * @param run its folder
   * @param warn is told once, when the files cannot be written or no longer
   */
  static async begin(run: string, start: LogStart, warn?: (message: string) => void): Promise<TensorBoardLog> {
    const log = new TensorBoardLog(run, warn);
    try {
      log.#files = await EventFiles.begin(run, start);
    } catch (error) {
      log.#giveUp(error);
    }
    return log;
  }

  append(line: StepMetrics | EvaluationMetrics): void {
    this.#attempt((files) => files.append(line));
  }

  /** A picture, which is written with the next update. */
  show(tag: string, png: Uint8Array): void {
    this.#attempt((files) => files.show(tag, png));
  }

  async settle(): Promise<void> {
    await this.#files?.settle().catch((error: unknown) => this.#giveUp(error));
  }

  sync(): void {
    this.#attempt((files) => files.sync());
  }

  close(): void {
    this.#attempt((files) => files.close());
    this.#files = undefined;
  }

  #attempt(act: (files: EventFiles) => void): void {
    try {
      if (this.#files) act(this.#files);
    } catch (error) {
      this.#giveUp(error);
    }
  }

  #giveUp(error: unknown): void {
    this.#files = undefined;
    const reason = error instanceof Error ? error.message : String(error);
    this.#warn?.(
      `${join(this.#run, TENSORBOARD)} cannot be written (${reason}): the run goes on without it; metrics.jsonl has its numbers`,
    );
  }
}
