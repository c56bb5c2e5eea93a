/**
 * A training step that is recorded once and replayed without JavaScript and TensorFlow.js's tape.
 *
 *   calls 1, 2    the step as it is: variables settle where they stay; on a GPU cuDNN chooses algorithms and kernels are compiled
 *   call 3        recorded
 *   calls 4...    replayed
 *
 * On a CPU the record is a program of operator calls (native/torch/src/program.h), of which some run at the same time, on a part of the
 * threads each. On a GPU it is a CUDA graph, which LibTorch's dispatcher does not see either; a graph reads and writes the same memory each
 * time, so inputs are copied in and outputs out.
 */
import { dispose, engine, keep, scalar, tidy } from '@tensorflow/tfjs-core';
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import type { NamedTensors } from '../engine.js';
import type { TorchBackend } from './backend.js';

const WARM_UP = 2;

/** Lets go of a record when nobody can call its step any more. */
const abandoned = new FinalizationRegistry<Holder>(({ backend, release }) => {
  if (!backend.disposed) release?.();
});

/** Lives until then, so nothing in it may lead to the step: a step may lead to what `capture` made of it. */
interface Holder {
  readonly backend: TorchBackend;
  release?: () => void;
}

/** A step as it was given, compiled, or recorded. */
type Step<I, O> = (inputs: I) => O;

/** `step` of `Engine.compile`. */
export function capture<I extends NamedTensors, O extends NamedTensors>(backend: TorchBackend, step: Step<I, O>): Step<I, O> {
  let calls = 0;
  let expected: I | undefined;
  let replay: Step<I, O> | undefined;
  const holder: Holder = { backend };
  const asRecorded = ownOutputs(onThreadsOfRecord(backend, step));
  const compiled = (inputs: I): O => {
    if (calls < WARM_UP) {
      calls++;
      return asRecorded(inputs);
    }
    if (backend.disposed) throw new Error('a compiled step is called after its engine was disposed of');
    if (replay !== undefined && expected !== undefined) {
      check(inputs, expected);
      const outputs = replay(inputs);
      // Whatever was derived from a variable's values is stale.
      backend.replays++;
      return outputs;
    }
    // Copies in bfloat16 that were made outside the step would be constants in it.
    backend.replays++;
    const record = backend.device === 'cpu' ? recordProgram<I, O> : recordGraph<I, O>;
    const recorded = record(backend, inPlace(asRecorded), inputs);
    // Shapes and types alone: the tensors are the caller's.
    expected = { ...inputs };
    replay = recorded.replay;
    holder.release = recorded.release;
    return recorded.outputs;
  };
  abandoned.register(compiled, holder);
  return compiled;
}

interface Recorded<I, O> {
  /** Of the call that was recorded. */
  readonly outputs: O;
  readonly replay: Step<I, O>;
  readonly release: () => void;
}

function recordProgram<I extends NamedTensors, O extends NamedTensors>(backend: TorchBackend, step: Step<I, O>, inputs: I): Recorded<I, O> {
  const { torch } = backend;
  const { addon } = torch;
  const numbers = (tensors: NamedTensors): number[] => Object.values(tensors).map((tensor) => backend.held(tensor).id);
  const names = Object.keys(inputs);
  addon.recordBegin(numbers(inputs));
  let outputs: O | undefined;
  let program: number;
  backend.capturing = true;
  try {
    outputs = step(inputs);
    program = addon.recordEnd(numbers(outputs));
  } catch (error) {
    addon.recordEnd();
    dispose(Object.values(outputs ?? {}));
    throw error;
  } finally {
    backend.capturing = false;
  }
  const made = Object.entries(outputs).map(([name, { dtype }]) => ({ name, dtype }));
  return {
    outputs,
    release: () => addon.releaseProgram(program),
    replay: (given) =>
      torch.scope(
        () => {
          const refs = torch.runProgram(
            program,
            names.map((name) => backend.held(given[name] as Tensor)),
          );
          const tensors = made.map(({ name, dtype }, i) => [name, backend.tensorOf(refs[i], dtype)] as const);
          return Object.fromEntries(tensors) as unknown as O;
        },
        () => [],
      ),
  };
}

function recordGraph<I extends NamedTensors, O extends NamedTensors>(backend: TorchBackend, step: Step<I, O>, inputs: I): Recorded<I, O> {
  const { torch } = backend;
  const { addon } = torch;
  const own = mapTensors(inputs, (input) => keep(copied(backend, input)));
  // Work under way must not end inside the recording.
  addon.synchronize();
  addon.captureBegin();
  backend.capturing = true;
  let outputs: O;
  let graph: number;
  try {
    outputs = mapTensors(step(own), (output) => keep(output));
    graph = addon.captureEnd();
  } catch (error) {
    // Ends the recording, which is void after an error; what it says of that adds nothing.
    try {
      addon.releaseGraph(addon.captureEnd());
    } catch {
      // The first error tells.
    }
    dispose(Object.values(own));
    throw error;
  } finally {
    backend.capturing = false;
  }
  const replay = (given: I): O => {
    for (const [name, target] of Object.entries(own)) {
      torch.scope(
        () => torch.run('aten::copy_', backend.held(target), backend.held(given[name] as Tensor)),
        () => [],
      );
    }
    addon.replay(graph);
    return mapTensors(outputs, (output) => copied(backend, output));
  };
  // Recording ran nothing.
  const release = (): void => {
    addon.releaseGraph(graph);
    dispose([...Object.values(own), ...Object.values(outputs)]);
  };
  return { outputs: replay(inputs), replay, release };
}

/** `step`, every call in it on as many threads as a record will have for it: a run that is resumed has the bits of one that was not. */
function onThreadsOfRecord<I, O>({ device, torch: { addon } }: TorchBackend, step: Step<I, O>): Step<I, O> {
  if (device !== 'cpu') return step;
  return (inputs) => {
    addon.limitThreads(true);
    try {
      return step(inputs);
    } finally {
      addon.limitThreads(false);
    }
  };
}

/** `step`, with an error where it gives a tensor that was there before: a record could not make it again, and its `release` would free it. */
function ownOutputs<I extends NamedTensors, O extends NamedTensors>(step: Step<I, O>): Step<I, O> {
  // Tensors are numbered in the order in which they are made.
  const newest = tidy(() => scalar(0).id);
  return (inputs) => {
    const outputs = step(inputs);
    for (const [name, { id, shape }] of Object.entries(outputs)) {
      if (id > newest) continue;
      dispose(Object.values(outputs).filter((output) => output.id > newest));
      throw new Error(`a compiled step gives "${name}", a tensor [${shape}] which it did not make: leave it out, the caller has it`);
    }
    return outputs;
  };
}

/** `step`, with an error where it gives a variable another tensor: a record would compute that tensor, and the variable would stay what it is. */
function inPlace<I extends NamedTensors, O extends NamedTensors>(step: Step<I, O>): Step<I, O> {
  return (inputs) => {
    const held = Object.values<Variable>(engine().registeredVariables).map((variable) => ({ variable, dataId: variable.dataId }));
    const outputs = step(inputs);
    const assigned = held.find(({ variable, dataId }) => !variable.isDisposed && variable.dataId !== dataId)?.variable;
    if (!assigned) return outputs;
    dispose(Object.values(outputs));
    throw new Error(
      `variable "${assigned.name}" of shape [${assigned.shape}] was assigned in a compiled step, which a record cannot do again: change ` +
        'variables through sgd, lerp (weight 1 assigns), enqueue and scatterRows of the engine',
    );
  };
}

function check(inputs: NamedTensors, expected: NamedTensors): void {
  for (const [name, { shape, dtype }] of Object.entries(expected)) {
    const source = inputs[name];
    if (source?.shape.join() === shape.join() && source.dtype === dtype) continue;
    const given = source === undefined ? 'missing' : `${source.dtype} [${source.shape}]`;
    throw new Error(`input "${name}" of a compiled step is ${given}: expected ${dtype} [${shape}], as in the first calls`);
  }
}

/** The same values in memory of their own: a graph writes over its outputs when it is replayed. */
function copied(backend: TorchBackend, tensor: Tensor): Tensor {
  const { torch } = backend;
  return torch.scope(
    () => backend.tensorOf(torch.run('aten::clone', backend.held(tensor)), tensor.dtype),
    () => [],
  );
}

function mapTensors<T extends NamedTensors>(tensors: T, map: (tensor: Tensor) => Tensor): T {
  return Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [name, map(tensor)])) as T;
}
