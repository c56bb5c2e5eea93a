/**
 * BatchMatMul over the kernels of assembly/: the backend's own is fast only when neither side is transposed, and then keeps b packed
 * by tensor id, which an in-place update would leave stale.
 */
import { BatchMatMul, Transpose, broadcast_util, engine, util } from '@tensorflow/tfjs-core';
import type { BatchMatMulAttrs, Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import { register } from './register.js';

const FLOAT = 4;

export function registerMatMul(heap: Heap): void {
  const { kernels } = heap;

  register<{ a: TensorInfo; b: TensorInfo }, BatchMatMulAttrs>(BatchMatMul, ({ inputs: { a, b }, attrs }) => {
    const { transposeA, transposeB } = attrs;
    const integers = a.dtype === 'int32' && b.dtype === 'int32';
    if (!integers && (a.dtype !== 'float32' || b.dtype !== 'float32')) {
      throw new Error(`matMul of ${a.dtype} and ${b.dtype} is not supported: expected float32 or int32; cast first`);
    }
    if (a.shape.length < 2 || b.shape.length < 2) {
      throw new Error(`matMul of shapes [${a.shape}] and [${b.shape}]: expected matrices or stacks of them`);
    }
    const [a0 = 1, a1 = 1] = a.shape.slice(-2);
    const [b0 = 1, b1 = 1] = b.shape.slice(-2);
    const rows = transposeA ? a1 : a0;
    const depth = transposeA ? a0 : a1;
    const columns = transposeB ? b0 : b1;
    if (depth !== (transposeB ? b1 : b0)) {
      throw new Error(
        `matMul of shapes [${a.shape}] and [${b.shape}] (transposeA ${transposeA}, transposeB ${transposeB}): inner sizes differ`,
      );
    }
    if (integers) return multiplyIntegers(a, b, transposeA, transposeB, rows, depth, columns);
    if (transposeA && transposeB) return transposed(multiply(b, a, false, false, [columns, rows]));
    return multiply(a, b, transposeA, transposeB, [rows, columns]);
  });

  function transposed(product: TensorInfo): TensorInfo {
    const rank = product.shape.length;
    const perm = [...Array.from({ length: rank - 2 }, (_, axis) => axis), rank - 1, rank - 2];
    const tensor = engine().makeTensorFromTensorInfo(product);
    const result: Tensor = engine().runKernel(Transpose, { x: tensor }, { perm });
    tensor.dispose();
    return result;
  }

  /** Counts, such as those of a confusion matrix: too few to be worth a kernel, and floats would round them beyond 2^24. */
  function multiplyIntegers(
    a: TensorInfo,
    b: TensorInfo,
    transposeA: boolean,
    transposeB: boolean,
    rows: number,
    depth: number,
    columns: number,
  ): TensorInfo {
    const [aOuter, bOuter] = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
    const outOuter = broadcast_util.assertAndGetBroadcastShape(aOuter, bOuter);
    const out = heap.output([...outOuter, rows, columns], 'int32');
    // After the allocation, which may detach earlier views.
    const [left, right, sums] = [a, b, out].map((tensor) => heap.backend.typedArrayFromHeap(tensor)) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    const [aRow, aDepth] = transposeA ? [1, rows] : [depth, 1];
    const [bDepth, bColumn] = transposeB ? [1, depth] : [columns, 1];
    const [aBatch, bBatch] = [util.sizeFromShape(aOuter), util.sizeFromShape(bOuter)];
    for (let i = 0; i < sums.length; i++) {
      const column = i % columns;
      const row = Math.floor(i / columns) % rows;
      const n = Math.floor(i / columns / rows);
      const from = (n % aBatch) * rows * depth + row * aRow;
      const to = (n % bBatch) * depth * columns + column * bColumn;
      let sum = 0;
      for (let d = 0; d < depth; d++) sum += (left[from + d * aDepth] ?? 0) * (right[to + d * bDepth] ?? 0);
      sums[i] = sum;
    }
    return out;
  }

  function multiply(a: TensorInfo, b: TensorInfo, transposeA: boolean, transposeB: boolean, outer: [number, number]): TensorInfo {
    const [rows, columns] = outer;
    const aOuter = a.shape.slice(0, -2);
    const bOuter = b.shape.slice(0, -2);
    const outOuter = broadcast_util.assertAndGetBroadcastShape(aOuter, bOuter);
    const depth = util.sizeFromShape(a.shape.slice(-2)) / rows;
    const aBatch = util.sizeFromShape(aOuter);
    const bBatch = util.sizeFromShape(bOuter);
    const out = heap.output([...outOuter, rows, columns]);
    const scratch = transposeA ? 0 : heap.scratch(kernels.multiplyScratch(depth, columns));
    for (let n = 0; n < util.sizeFromShape(outOuter); n++) {
      const from = heap.address(a) + (n % aBatch) * rows * depth * FLOAT;
      const right = heap.address(b) + (n % bBatch) * depth * columns * FLOAT;
      const to = heap.address(out) + n * rows * columns * FLOAT;
      if (transposeA) kernels.multiplyTransposed(from, rows, depth, right, columns, to);
      else if (transposeB) kernels.multiply(from, rows, depth, right, FLOAT, depth * FLOAT, columns, to, scratch);
      else kernels.multiply(from, rows, depth, right, columns * FLOAT, FLOAT, columns, to, scratch);
    }
    return out;
  }
}
