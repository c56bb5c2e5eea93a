/** UnsortedSegmentSum over assembly/rows.ts: the gradient of tf.gather. */
import { UnsortedSegmentSum, util } from '@tensorflow/tfjs-core';
import type { TensorInfo, UnsortedSegmentSumAttrs } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register } from './register.js';

export function registerSegmentSum(heap: Heap): void {
  register<{ x: TensorInfo; segmentIds: TensorInfo }, UnsortedSegmentSumAttrs>(
    UnsortedSegmentSum,
    ({ inputs: { x, segmentIds }, attrs }) => {
      const rows = util.sizeFromShape(segmentIds.shape);
      const outer = x.shape.slice(segmentIds.shape.length);
      if (x.dtype !== 'float32' || x.shape.slice(0, segmentIds.shape.length).join() !== segmentIds.shape.join()) {
        throw new Error(`segment sum of ${x.dtype} [${x.shape}] by [${segmentIds.shape}]: expected float32 and leading axes that agree`);
      }
      const out = heap.output([attrs.numSegments, ...outer]);
      const width = util.sizeFromShape(outer);
      heap.kernels.sumSegments(heap.address(x), heap.address(segmentIds), rows, width, attrs.numSegments, heap.address(out));
      return out;
    },
  );
}
