/**
 * Products of rows that no precision rounds to bf16: `similarities` over an engine's own kernel, `compositeSimilarities` over TensorFlow.js's
 * matMul, which may round its operands. On a GPU they are of TF32 unless the precision is fp32, as InfoNCE's are. Cosines over a small temperature do not bear that: with 512 embeddings and temperature 0.1, bf16 changes the gradient
 * of NT-Xent by 0.5 % where the views of an image are at a cosine of 0.55, and by 4 % where they are at 0.92.
 *
 * SimilarityProduct(a, b; transposeA, transposeB) -> as BatchMatMul
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D, Tensor3D, TensorInfo } from '@tensorflow/tfjs-core';
import type { Engine } from '../engine.js';
import { at, runKernel } from '../kernel.js';

export const SimilarityProduct = 'SimilarityProduct';

export interface SimilarityProductInputs {
  readonly a: TensorInfo;
  readonly b: TensorInfo;
}

type Multiply = (a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean) => Tensor;

/** `Engine.similarities` for an engine that registers the kernel. The gradient comes with it: nothing else is to be registered. */
export const similarities = onTape((a, b, transposeA, transposeB) =>
  at(runKernel(SimilarityProduct, { a, b }, { transposeA, transposeB }), 0),
);

/** `Engine.similarities` as TensorFlow.js operations. */
export const compositeSimilarities = onTape((a, b, transposeA, transposeB) => tf.matMul(a, b, transposeA, transposeB));

/** Checks, and puts the products on the tape: with s = a b^T, da = ds b and db = ds^T a. */
function onTape(multiply: Multiply): Engine['similarities'] {
  return <T extends Tensor2D | Tensor3D>(a: T, b: T): T => {
    check(a, b);
    const products = tf.customGrad((...inputs) => {
      const [left, right, save] = inputs as unknown as [Tensor, Tensor, (tensors: Tensor[]) => void];
      save([left, right]);
      const gradFunc = (ds: Tensor, saved: Tensor[]): Tensor[] => [
        multiply(ds, at(saved, 1), false, false),
        multiply(ds, at(saved, 0), true, false),
      ];
      return { value: multiply(left, right, false, true), gradFunc };
    });
    return products(a, b) as T;
  };
}

function check(a: Tensor, b: Tensor): void {
  const [stack, width] = [a.shape.slice(0, -2), a.shape.at(-1)];
  if ((a.rank === 2 || a.rank === 3) && b.rank === a.rank && b.shape.at(-1) === width && b.shape.slice(0, -2).join() === stack.join())
    return;
  throw new Error(`similarities of rows [${a.shape}] and [${b.shape}]: expected [n, D] and [m, D], or stacks of as many`);
}
