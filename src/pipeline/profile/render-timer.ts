/** Times the one thing that a worker's thread does without a pause: the views of a sample. */
import { clock, type ThreadMeters } from './meters.js';
import { STAGE, STAGES } from './stages.js';

export class RenderTimer {
  readonly #thread: ThreadMeters;
  #began = 0;
  #at = 0;

  constructor(thread: ThreadMeters) {
    this.#thread = thread;
  }

  begin(): void {
    this.#began = this.#at = clock();
  }

  viewDone(view: number): void {
    const now = clock();
    this.#thread.add(STAGES.length + view, now - this.#at);
    this.#thread.addSpan(STAGES.length + view, -1, this.#at, now - this.#at);
    this.#at = now;
  }

  end(): void {
    this.#thread.addSpan(STAGE.augment, -1, this.#began, clock() - this.#began);
  }
}
