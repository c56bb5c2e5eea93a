/** Registration of kernels that replace the backend's own. */
import { getKernel, registerKernel, unregisterKernel } from '@tensorflow/tfjs-core';
import type { KernelFunc, NamedAttrMap, NamedTensorInfoMap, TensorInfo } from '@tensorflow/tfjs-core';

export interface KernelArguments<Inputs, Attributes> {
  readonly inputs: Inputs;
  readonly attrs: Attributes;
}

/** The backend's own kernels that were replaced. They register once in a process, engines as often as they are started. */
const replaced = new Map<string, KernelFunc>();

/** Registers `kernel` for the wasm backend under `name`, in place of one of that name. */
export function register<Inputs, Attributes>(
  name: string,
  kernel: (call: KernelArguments<Inputs, Attributes>) => TensorInfo | TensorInfo[],
): void {
  const own = getKernel(name, 'wasm');
  if (own !== undefined) {
    if (!replaced.has(name)) replaced.set(name, own.kernelFunc);
    unregisterKernel(name, 'wasm');
  }
  registerKernel({
    kernelName: name,
    backendName: 'wasm',
    // Binds the backend's own kernel to its module, which the backend of another engine has anew.
    ...(own?.setupFunc && { setupFunc: own.setupFunc }),
    kernelFunc: ({ inputs, attrs }: { inputs: NamedTensorInfoMap; attrs?: NamedAttrMap }) =>
      kernel({ inputs: inputs as unknown as Inputs, attrs: attrs as unknown as Attributes }),
  });
}

/** Runs the backend's own kernel of that name, for what the one in its place does not do. */
export function runReplaced(name: string, backend: object, inputs: Readonly<Record<string, TensorInfo>>, attrs: object): TensorInfo {
  const kernel = replaced.get(name);
  if (kernel === undefined) throw new Error(`the TensorFlow.js WebAssembly backend has no kernel ${name} of its own`);
  return kernel({ inputs, backend, attrs: attrs as NamedAttrMap }) as TensorInfo;
}
