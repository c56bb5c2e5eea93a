/** Between the variables of a run and the files of a checkpoint. */
import type { Variable } from '@tensorflow/tfjs-core';
import { assign, type Method } from '../model/index.js';
import { type LoadedCheckpoint } from './checkpoint.js';
import { CheckpointError } from './checkpoint-state.js';
import type { OnlineProbe } from '../eval/index.js';
import type { Optimizer } from './optimizer/optimizer.js';
import type { TensorSource } from '../common/safetensors.js';

/** What trains: all whose tensors a checkpoint holds. */
export interface Trained {
  readonly method: Pick<Method, 'sections'>;
  readonly optimizer: Pick<Optimizer, 'state'>;
  readonly probe?: OnlineProbe | undefined;
}

/** The part of a probe, which only some checkpoints of a method have. */
const PROBE = 'probe';

/** All that `parts` has. */
export function variablesOf(trained: Trained): Variable[] {
  return Object.values(parts(trained)).flatMap((variables) => Array.from(variables.values()));
}

function parts({ method, optimizer, probe }: Trained): Record<string, ReadonlyMap<string, Variable>> {
  return { ...method.sections, optimizer: optimizer.state, ...(probe?.begun && { [PROBE]: probe.state }) };
}

/** What `saveCheckpoint` writes. */
export function checkpointTensors(trained: Trained): Record<string, ReadonlyMap<string, TensorSource>> {
  const source = (variable: Variable): TensorSource => ({ shape: variable.shape, data: () => variable.data<'float32'>() });
  return Object.fromEntries(
    Object.entries(parts(trained)).map(([part, variables]) => [part, new Map([...variables].map(([name, one]) => [name, source(one)]))]),
  );
}

/**
 * Puts a method where a checkpoint left it, host state included.
 * @throws CheckpointError for a checkpoint of another method, or of a host state that it has not
 */
export function restore({ method, optimizer, probe }: Trained & { readonly method: Method }, checkpoint: LoadedCheckpoint): void {
  const { host } = checkpoint.state.method;
  const [had, expected] = [host, method.host].map((state) => Object.keys(state).toSorted().join(', ') || 'nothing');
  if (had !== expected)
    throw new CheckpointError(`${checkpoint.path}/state.json holds ${had} of its method: expected ${expected}; it is of another method`);
  const { [PROBE]: stored, ...tensors } = checkpoint.tensors;
  // A run may be resumed with a probe or without one, whatever it had: one that was not there begins then.
  if (stored) probe?.reserve(stored.get('bias')?.shape[0] ?? 1);
  restoreTensors({ method, optimizer, probe }, { ...checkpoint, tensors: probe ? checkpoint.tensors : tensors });
  method.host = host;
}

/** Puts a checkpoint's values into the variables. @throws CheckpointError when a tensor is missing, left over or of another shape */
export function restoreTensors(trained: Trained, { path, tensors }: LoadedCheckpoint): void {
  const unknown = Object.keys(tensors).find((part) => !(part in parts(trained)));
  if (unknown !== undefined) throw new CheckpointError(`${path} has ${unknown}.safetensors, which this method does not have`);
  for (const [part, variables] of Object.entries(parts(trained))) {
    const file = `${path}/${part}.safetensors`;
    const stored = tensors[part];
    if (!stored) throw new CheckpointError(`${path} has no ${part}.safetensors, which this method needs`);
    const extra = [...stored.keys()].find((name) => !variables.has(name));
    if (extra !== undefined) throw new CheckpointError(`${file} holds "${extra}", which this method does not have`);
    for (const [name, target] of variables) {
      const source = stored.get(name);
      if (source === undefined) throw new CheckpointError(`${file} lacks "${name}"`);
      if (source.shape.join() !== target.shape.join())
        throw new CheckpointError(`${file} holds "${name}" with shape [${source.shape.join(', ')}]: expected [${target.shape.join(', ')}]`);
    }
    assign(variables, stored);
  }
}
