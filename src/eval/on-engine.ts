/** The matrix products of evaluations on the engine in use. */
import { concat, matMul, ones, type Tensor2D, tensor2d, tidy } from '@tensorflow/tfjs-core';
import type { Features } from './features.js';
import type { Similarities } from './knn.js';
import type { Design } from './linear-svm.js';

/** [images, dimensions] on the device. */
export function toDevice({ features, dimensions }: Features): Tensor2D {
  return tensor2d(features, [features.length / dimensions, dimensions]);
}

async function read(product: Tensor2D): Promise<Float32Array> {
  const values = (await product.data()) as Float32Array;
  product.dispose();
  return values;
}

/** Cosines with a bank of L2-normalised features. */
export function bankOnEngine(bank: Features): { readonly similarities: Similarities } & Disposable {
  const rows = toDevice(bank);
  return {
    similarities: (queries) => read(tidy(() => matMul(toDevice({ features: queries, dimensions: bank.dimensions }), rows, false, true))),
    [Symbol.dispose]: () => rows.dispose(),
  };
}

/** The features of images and a constant 1 as machines read them. */
export function designOnEngine(features: Features): Design & Disposable {
  const matrix = tidy(() => {
    const values = toDevice(features);
    return concat([values, ones([values.shape[0], 1])], 1) as Tensor2D;
  });
  const [rows, columns] = matrix.shape;
  return {
    rows,
    columns,
    times: (values, machines) => read(tidy(() => matMul(matrix, tensor2d(values, [columns, machines])))),
    transposedTimes: (values, machines) => read(tidy(() => matMul(matrix, tensor2d(values, [rows, machines]), true))),
    [Symbol.dispose]: () => matrix.dispose(),
  };
}
