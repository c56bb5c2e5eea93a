/** InfoNce and its gradient over assembly/contrast.ts. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { InfoNce, InfoNceGrad } from '../contrast.js';
import type { InfoNceAttrs, InfoNceGradInputs, InfoNceInputs } from '../contrast.js';
import type { Heap } from './heap.js';
import { register } from './register.js';

type Matrix = [number, number];

export function registerContrast(heap: Heap): void {
  const { kernels } = heap;

  register<InfoNceInputs, InfoNceAttrs>(InfoNce, ({ inputs: { query, key, queue }, attrs: { temperature } }): TensorInfo[] => {
    const [rows, width] = query.shape as Matrix;
    const [columns] = queue.shape as Matrix;
    const loss = heap.output([]);
    const negative = heap.output([rows, columns]);
    const positive = heap.output([rows]);
    kernels.infoNce(
      heap.address(query),
      heap.address(key),
      rows,
      width,
      heap.address(queue),
      columns,
      temperature,
      heap.address(loss),
      heap.address(negative),
      heap.address(positive),
      heap.scratch(kernels.multiplyScratch(width, columns)),
    );
    return [loss, negative, positive];
  });

  register<InfoNceGradInputs, InfoNceAttrs>(InfoNceGrad, ({ inputs, attrs: { temperature } }): TensorInfo[] => {
    const { dLoss, key, queue, negative, positive } = inputs;
    const [rows, width] = key.shape as Matrix;
    const [columns] = queue.shape as Matrix;
    const dQuery = heap.output([rows, width]);
    kernels.infoNceGradient(
      heap.address(dLoss),
      heap.address(key),
      rows,
      width,
      heap.address(queue),
      columns,
      temperature,
      heap.address(negative),
      heap.address(positive),
      heap.address(dQuery),
      heap.scratch(kernels.multiplyScratch(columns, width)),
    );
    return [dQuery];
  });
}
