/** MaxPoolGrad over assembly/pool.ts. */
import { MaxPoolGrad, backend_util } from "@tensorflow/tfjs-core";
import type { MaxPoolGradAttrs, TensorInfo } from "@tensorflow/tfjs-core";
import type { Heap } from "./heap.js";
import { register } from "./register.js";

export function registerPooling(heap: Heap): void {
  register<{ dy: TensorInfo; input: TensorInfo; output: TensorInfo }, MaxPoolGradAttrs>(
    MaxPoolGrad,
    ({ inputs, attrs }) => {
      const { dy, input, output } = inputs;
      const info = backend_util.computePool2DInfo(
        input.shape as [number, number, number, number],
        attrs.filterSize,
        attrs.strides,
        1,
        attrs.pad,
        attrs.dimRoundingMode,
      );
      const dx = heap.output(input.shape);
      heap.kernels.maxPoolGradient(
        heap.address(input),
        heap.address(output),
        heap.address(dy),
        info.batchSize,
        info.inHeight,
        info.inWidth,
        info.inChannels,
        info.outHeight,
        info.outWidth,
        info.filterHeight,
        info.filterWidth,
        info.strideHeight,
        info.strideWidth,
        info.padInfo.top,
        info.padInfo.left,
        heap.address(dx),
      );
      return dx;
    },
  );
}
