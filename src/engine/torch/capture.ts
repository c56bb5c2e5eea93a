/**
 * A training step as a CUDA graph: recorded once, then replayed without JavaScript, TensorFlow.js's tape or LibTorch's dispatcher.
 *
 *   calls 1, 2    the step as it is: cuDNN chooses algorithms, kernels are compiled, variables settle where they stay
 *   call 3        recorded with inputs of its own, which later calls are copied into; then replayed
 *   calls 4...    inputs copied, replayed
 */
import { engine, keep } from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { NamedTensors } from '../engine.js';
import type { TorchBackend } from './backend.js';

const WARM_UP = 2;

interface Captured<I, O> {
  readonly graph: number;
  readonly inputs: I;
  readonly outputs: O;
}

/** `step` of `Engine.compile` on a GPU. */
export function capture<I extends NamedTensors, O extends NamedTensors>(backend: TorchBackend, step: (inputs: I) => O): (inputs: I) => O {
  let calls = 0;
  let captured: Captured<I, O> | undefined;
  return (inputs) => {
    if (calls++ < WARM_UP) return step(inputs);
    captured ??= record(backend, step, inputs);
    replay(backend, captured, inputs);
    return mapTensors(captured.outputs, (output) => copied(backend, output));
  };
}

function record<I extends NamedTensors, O extends NamedTensors>(backend: TorchBackend, step: (inputs: I) => O, inputs: I): Captured<I, O> {
  const { addon } = backend.torch;
  const own = mapTensors(inputs, (input) => keep(copied(backend, input)));
  // Work under way must not end inside the recording.
  addon.synchronize();
  addon.captureBegin();
  backend.capturing = true;
  try {
    const outputs = mapTensors(step(own), (output) => keep(output));
    return { graph: addon.captureEnd(), inputs: own, outputs };
  } catch (error) {
    // Ends the recording, which is void after an error; what it says of that adds nothing.
    try {
      addon.releaseGraph(addon.captureEnd());
    } catch {
      // The first error tells.
    }
    throw error;
  } finally {
    backend.capturing = false;
  }
}

function replay<I extends NamedTensors>(backend: TorchBackend, { graph, inputs: own }: Captured<I, unknown>, inputs: I): void {
  const { torch } = backend;
  for (const [name, target] of Object.entries(own)) {
    const source = inputs[name];
    if (source === undefined || source.shape.join() !== target.shape.join() || source.dtype !== target.dtype) {
      const given = source === undefined ? 'missing' : `${source.dtype} [${source.shape}]`;
      throw new Error(`input "${name}" of a compiled step is ${given}: expected ${target.dtype} [${target.shape}], as in the first calls`);
    }
    torch.scope(
      () => torch.run('aten::copy_', backend.held(target), backend.held(source)),
      () => [],
    );
  }
  torch.addon.replay(graph);
  // Whatever was derived from a variable's values is stale.
  backend.replays++;
}

/** The same values in memory of their own: a graph writes over its outputs when it is replayed. */
function copied(backend: TorchBackend, tensor: Tensor): Tensor {
  const { torch } = backend;
  const info = torch.scope(
    () => backend.output(torch.run('aten::clone', backend.held(tensor)), tensor.dtype),
    () => [],
  );
  return engine().makeTensorFromTensorInfo(info);
}

function mapTensors<T extends NamedTensors>(tensors: T, map: (tensor: Tensor) => Tensor): T {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, map(tensor)])) as T;
}
