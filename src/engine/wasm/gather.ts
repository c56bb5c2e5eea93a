/** GatherV2 with batches, and its gradient: UnsortedSegmentSum over assembly/rows.ts. */
import { backend_util, engine, GatherV2, type GatherV2Attrs, UnsortedSegmentSum, util } from '@tensorflow/tfjs-core';
import type { Tensor, TensorInfo, UnsortedSegmentSumAttrs } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register, runReplaced } from './register.js';

export function registerGather(heap: Heap): void {
  register<{ x: TensorInfo; indices: TensorInfo }, GatherV2Attrs>(GatherV2, ({ inputs: { x, indices }, attrs }) => {
    const { axis, batchDims } = attrs;
    if (batchDims === 0) return runReplaced(GatherV2, heap.backend, { x, indices }, attrs);
    // The backend's own takes the rows of a batch by the indices of another: findings/tfjs-wasm-gather-batch-dims.sh.
    const [along = 0] = util.parseAxisParam(axis, x.shape);
    const { batchSize, outerSize, dimSize, sliceSize, outputShape } = backend_util.segment_util.collectGatherOpShapeInfo(
      x as Tensor,
      indices as Tensor,
      along,
      batchDims,
    );
    const out = heap.output(outputShape, x.dtype);
    const taken = util.sizeFromShape(indices.shape) / batchSize;
    const wanted = engine().readSync(indices.dataId) as Int32Array;
    const [from, to] = [heap.address(x), heap.address(out)];
    const bytes = sliceSize * util.bytesPerElement(x.dtype);
    for (let block = 0; block < batchSize * outerSize; block++) {
      const first = Math.floor(block / outerSize) * taken;
      for (let i = 0; i < taken; i++) {
        const row = wanted[first + i] ?? -1;
        if (row < 0 || row >= dimSize)
          throw new Error(`gather of row ${row}: expected 0 to ${dimSize - 1} of [${x.shape}] along axis ${along}`);
        heap.copy(to + (block * taken + i) * bytes, from + (block * dimSize + row) * bytes, bytes);
      }
    }
    return out;
  });

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
