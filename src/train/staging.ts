/** Batches whose views are on the device: the next is fetched and uploaded while the device computes on the last. */
import { dispose } from '@tensorflow/tfjs-core';
import type { Batch } from '../pipeline/batch/batch.js';
import type { StagedViews } from './step.js';

/** A batch, whose slot the workers may be filling again, and its views. */
export interface StagedBatch extends Pick<Batch, 'epoch' | 'size' | 'state' | 'samples'> {
  readonly views: StagedViews;
}

export class Staging {
  readonly #batches: AsyncIterator<Batch>;
  readonly #stage: (batch: Batch) => Promise<StagedViews>;
  #coming: Promise<StagedBatch | undefined> | undefined;
  #given: StagedBatch | undefined;

  /** @param stage uploads a batch and releases it */
  constructor(batches: AsyncIterable<Batch>, stage: (batch: Batch) => Promise<StagedViews>) {
    this.#batches = batches[Symbol.asyncIterator]();
    this.#stage = stage;
  }

  /** Begins to fetch what `next` will give. To be called when the device has been given its work and before that is waited for. */
  prefetch(): void {
    this.#coming ??= this.#fetch();
    // Whoever calls `next` hears of it.
    this.#coming.catch(() => undefined);
  }

  /** Resolves when what was prefetched is there. */
  async ready(): Promise<void> {
    await this.#coming?.catch(() => undefined);
  }

  /** The next batch, whose views are then the caller's; undefined after the last. */
  async next(): Promise<StagedBatch | undefined> {
    this.prefetch();
    const coming = this.#coming as Promise<StagedBatch | undefined>;
    this.#coming = undefined;
    this.#given = await coming;
    return this.#given;
  }

  /** Leaves the batches, and frees the views of one that nobody came for, or that the caller was kept from using. */
  async close(): Promise<void> {
    const left = await this.#coming?.catch(() => undefined);
    this.#coming = undefined;
    for (const batch of [this.#given, left]) if (batch) dispose(Object.values(batch.views.tensors));
    await this.#batches.return?.();
  }

  async #fetch(): Promise<StagedBatch | undefined> {
    const { done, value: batch } = await this.#batches.next();
    if (done) return undefined;
    const { epoch, size, state, samples } = batch;
    return { epoch, size, state, samples, views: await this.#stage(batch) };
  }
}
