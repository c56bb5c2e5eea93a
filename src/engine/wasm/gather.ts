/** GatherV2 with batches, and its gradient: UnsortedSegmentSum over assembly/rows.ts. */
import { engine, GatherV2, type GatherV2Attrs, UnsortedSegmentSum, util } from '@tensorflow/tfjs-core';
import type { TensorInfo, UnsortedSegmentSumAttrs } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register, runReplaced } from './register.js';

export function registerGather(heap: Heap): void {
  register<{ x: TensorInfo; indices: TensorInfo }, GatherV2Attrs>(GatherV2, ({ inputs: { x, indices }, attrs }) => {
    const { axis, batchDims } = attrs;
    if (batchDims === 0) return runReplaced(GatherV2, heap.backend, { x, indices }, attrs);
    // The backend's own takes the rows of a batch by the indices of another: findings/tfjs-wasm-gather-batch-dims.sh.
    const along = util.parseAxisParam(axis, x.shape)[0] ?? 0;
    const bytes = util.bytesPerElement(x.dtype);
    const [batches, outer, rows, inner] = [
      x.shape.slice(0, batchDims),
      x.shape.slice(batchDims, along),
      x.shape.slice(along, along + 1),
      x.shape.slice(along + 1),
    ].map((shape) => util.sizeFromShape(shape)) as [number, number, number, number];
    const taken = util.sizeFromShape(indices.shape.slice(batchDims));
    const shape = [...x.shape.slice(0, along), ...indices.shape.slice(batchDims), ...x.shape.slice(along + 1)];
    const out = heap.output(shape, x.dtype as 'float32');
    const wanted = engine().readSync(indices.dataId) as Int32Array;
    const [from, to] = [heap.address(x), heap.address(out)];
    for (let batch = 0; batch < batches; batch++) {
      for (let o = 0; o < outer; o++) {
        for (let i = 0; i < taken; i++) {
          const row = wanted[batch * taken + i] ?? -1;
          if (row < 0 || row >= rows)
            throw new Error(`gather of row ${row}: expected 0 to ${rows - 1} of [${x.shape}] along axis ${along}`);
          const source = (batch * outer + o) * rows + row;
          heap.copy(to + ((batch * outer + o) * taken + i) * inner * bytes, from + source * inner * bytes, inner * bytes);
        }
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
