/** Registration of kernels for the torch backend. */
import { getKernel, registerKernel } from '@tensorflow/tfjs-core';
import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';
import type { TorchBackend } from './backend.js';
import type { Torch } from './torch.js';

export const BACKEND = 'torch';

export interface Call<Inputs, Attributes> {
  readonly inputs: Inputs;
  readonly attrs: Attributes;
  readonly backend: TorchBackend;
  readonly torch: Torch;
}

export type Kernel<Inputs, Attributes> = (call: Call<Inputs, Attributes>) => TensorInfo | TensorInfo[];

/** Registers a kernel, once; what it makes and does not give as a result is freed. */
export function register<Inputs, Attributes>(name: string, kernel: Kernel<Inputs, Attributes>): void {
  if (getKernel(name, BACKEND) !== undefined) return;
  registerKernel({
    kernelName: name,
    backendName: BACKEND,
    kernelFunc: ({ inputs, attrs, backend }: { inputs: NamedTensorInfoMap; attrs?: NamedAttrMap; backend: object }) => {
      const torchBackend = backend as TorchBackend;
      const { torch } = torchBackend;
      return torch.scope(
        () => kernel({ inputs: inputs as unknown as Inputs, attrs: attrs as unknown as Attributes, backend: torchBackend, torch }),
        () => [],
      );
    },
  });
}
