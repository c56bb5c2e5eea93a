/**
 * Several processes that train one network, as a method sees them: one rank each, with its share of every batch.
 *
 * What is here takes part in a compiled step (`Engine.compile`) and waits for the other ranks, so each of them has to call the same in the
 * same order, with tensors of the same shapes.
 */
import { gather, type Tensor, type Tensor1D, type Variable } from '@tensorflow/tfjs-core';

/** What ranks do together on tensors. All ranks make the same calls in the same order. */
export interface Ranks {
  /** Of this process, from 0. */
  readonly rank: number;
  /** Processes. One has nobody to wait for. */
  readonly size: number;

  /** Where there are several: images for `exchange` as bytes, which are a quarter of what they become when they are normalised. */
  readonly upload?: (bytes: Uint8Array, shape: readonly number[]) => Tensor;

  /**
   * Some of the images of all ranks, normalised: rank 0's first, then those of the next.
   *
   * @param images [n, ...] of this rank, by `upload`, or normalised float32
   * @param rows int32, of 0..size n - 1
   */
  exchange(images: Tensor, rows: Tensor1D): Tensor;

  /** [n, ...] of every rank -> [size n, ...] in rank order. No gradient flows through it. */
  gather<T extends Tensor>(x: T): T;

  /** The mean over ranks of each tensor, float32. */
  mean<T extends Tensor>(xs: readonly T[]): T[];

  /** Gives variables the values that they have on rank 0. */
  broadcast(variables: readonly Variable[]): void;
}

/** One process. */
export const alone: Ranks = {
  rank: 0,
  size: 1,
  exchange: (images, rows) => gather(images, rows),
  gather: (x) => x,
  mean: (xs) => [...xs],
  broadcast: () => {},
};

/** @throws where an engine that has no ranks is to share its work */
export function refuseCompany(engine: string, company: { readonly size: number } | undefined): void {
  if (company === undefined) return;
  throw new Error(`engine ${engine} computes in one process alone, and there are ${company.size} ranks: use engine torch, or one process`);
}
