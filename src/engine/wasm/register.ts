/** Registration of kernels that replace the backend's own. */
import { getKernel, registerKernel, unregisterKernel } from "@tensorflow/tfjs-core";
import type { NamedAttrMap, NamedTensorInfoMap, TensorInfo } from "@tensorflow/tfjs-core";

export interface KernelArguments<Inputs, Attributes> {
  readonly inputs: Inputs;
  readonly attrs: Attributes;
}

/** Registers `kernel` for the wasm backend under `name`, in place of one of that name. */
export function register<Inputs, Attributes>(
  name: string,
  kernel: (call: KernelArguments<Inputs, Attributes>) => TensorInfo | TensorInfo[],
): void {
  if (getKernel(name, "wasm") !== undefined) unregisterKernel(name, "wasm");
  registerKernel({
    kernelName: name,
    backendName: "wasm",
    kernelFunc: ({ inputs, attrs }: { inputs: NamedTensorInfoMap; attrs?: NamedAttrMap }) =>
      kernel({ inputs: inputs as unknown as Inputs, attrs: attrs as unknown as Attributes }),
  });
}
