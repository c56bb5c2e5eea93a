/** Registration of kernels for tfjs-node's backend, in place of its own. */
import { getKernel, registerKernel, unregisterKernel } from '@tensorflow/tfjs-core';
import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { NodeBackend } from './binding.js';
import { Eager } from './eager.js';

/** The name that tfjs-node's kernels are registered under. */
export const BACKEND = 'tensorflow';

export interface Call<Inputs, Attributes> {
  readonly inputs: Inputs;
  readonly attrs: Attributes;
  readonly eager: Eager;
}

/** Registers a kernel; what it makes and does not give is freed. */
export function register<Inputs, Attributes>(name: string, kernel: (call: Call<Inputs, Attributes>) => TensorInfo | TensorInfo[]): void {
  if (getKernel(name, BACKEND) !== undefined) unregisterKernel(name, BACKEND);
  registerKernel({
    kernelName: name,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs, backend }: { inputs: NamedTensorInfoMap; attrs?: NamedAttrMap; backend: object }) =>
      Eager.scope(backend as NodeBackend, (eager) =>
        kernel({ inputs: inputs as unknown as Inputs, attrs: attrs as unknown as Attributes, eager }),
      ),
  });
}
