/** Between the variables of a method and the files of a checkpoint. */
import { tensor, type Variable, variable, zeros } from '@tensorflow/tfjs-core';
import type { ContrastiveMethod } from '../model/index.js';
import type { LoadedCheckpoint } from './checkpoint.js';
import type { CheckpointPart } from './checkpoint-state.js';
import type { TensorSource } from './safetensors.js';

/** Prefix of the names in `ContrastiveMethod.tensors()` that each file holds, without it. */
const PREFIXES: Readonly<Record<Exclude<CheckpointPart, 'optimizer'>, string>> = { query: 'query.', key: 'key.', queues: 'queue.' };

/** The momentum of SGD: a variable of zeros for each parameter. */
export function createVelocities(method: ContrastiveMethod): Map<string, Variable> {
  return new Map(
    [...method.parameters].map(([name, { shape }]) => {
      const start = zeros(shape);
      const velocity = variable(start, false);
      start.dispose();
      return [name, velocity];
    }),
  );
}

function variablesByPart(
  method: ContrastiveMethod,
  velocities: ReadonlyMap<string, Variable>,
): Record<CheckpointPart, Map<string, Variable>> {
  const all = [...method.tensors()];
  const part = (prefix: string) =>
    new Map(all.flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value] as const] : [])));
  return { query: part(PREFIXES.query), key: part(PREFIXES.key), optimizer: new Map(velocities), queues: part(PREFIXES.queues) };
}

/** What `saveCheckpoint` writes. */
export function checkpointTensors(
  method: ContrastiveMethod,
  velocities: ReadonlyMap<string, Variable>,
): Record<CheckpointPart, Map<string, TensorSource>> {
  const sources = (variables: Map<string, Variable>) =>
    new Map(
      [...variables].map(([name, { shape }]) => [name, { shape, data: async () => (await variables.get(name)?.data()) as Float32Array }]),
    );
  const { query, key, optimizer, queues } = variablesByPart(method, velocities);
  return { query: sources(query), key: sources(key), optimizer: sources(optimizer), queues: sources(queues) };
}

/** Puts a checkpoint's values into the variables. Throws when a tensor is missing, left over or of another shape. */
export function restoreTensors(
  method: ContrastiveMethod,
  velocities: ReadonlyMap<string, Variable>,
  { path, tensors }: LoadedCheckpoint,
): void {
  for (const [part, variables] of Object.entries(variablesByPart(method, velocities)) as [CheckpointPart, Map<string, Variable>][]) {
    const stored = tensors[part];
    const extra = [...stored.keys()].find((name) => !variables.has(name));
    if (extra !== undefined) throw new Error(`${path}/${part}.safetensors holds "${extra}", which this method does not have`);
    for (const [name, target] of variables) {
      const source = stored.get(name);
      if (source === undefined) throw new Error(`${path}/${part}.safetensors lacks "${name}"`);
      if (source.shape.join() !== target.shape.join())
        throw new Error(
          `${path}/${part}.safetensors holds "${name}" with shape [${source.shape.join(', ')}]: expected [${target.shape.join(', ')}]`,
        );
      const value = tensor(source.data, [...source.shape]);
      target.assign(value);
      value.dispose();
    }
  }
}
