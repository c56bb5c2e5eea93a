/** Running a kernel that TensorFlow.js does not know, on the tape. */
import { engine } from '@tensorflow/tfjs-core';
import type { NamedAttrMap, NamedTensorMap, Tensor } from '@tensorflow/tfjs-core';

/** Runs the kernel of the current backend; entries of `inputs` that are undefined are left out. All of its outputs come back. */
export function runKernel(
  name: string,
  inputs: Readonly<Record<string, Tensor | undefined>>,
  attrs: Readonly<Record<string, number | boolean>>,
): Tensor[] {
  const given = Object.fromEntries(Object.entries(inputs).filter(([, tensor]) => tensor !== undefined));
  return engine().runKernel<Tensor[]>(name, given as NamedTensorMap, attrs as NamedAttrMap);
}

/** The i-th of a kernel's outputs or saved tensors. @throws when there is none: the kernel breaks its contract. */
export function at(tensors: readonly Tensor[], i: number): Tensor {
  const tensor = tensors[i];
  if (tensor === undefined) throw new Error(`a kernel gave ${tensors.length} tensors: expected more than ${i}`);
  return tensor;
}
