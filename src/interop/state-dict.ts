/** Finds the tensors of a backbone in what a file holds, and accounts for every other key. */
import { quoted } from '../common/quoted.js';
import { ForeignTensor } from './foreign-tensor.js';
import { NAMINGS, type Naming, PLACES, TEACHER } from './names.js';
import { NumpyArray } from './numpy-array.js';
import { WeightsError } from './weights-error.js';

/** Which of two networks that learn together. */
export const ENCODERS = ['query', 'key'] as const;
/** Of two encoders that learn together: `query`, which the optimizer moves, or `key`, which follows it. */
export type Encoder = (typeof ENCODERS)[number];

export interface StateDict {
  /** By the file's own names. */
  readonly tensors: ReadonlyMap<string, ForeignTensor>;
  /** What the file holds beside the state dict, such as `optimizer`. */
  readonly beside: readonly string[];
}

function asTensor(value: unknown): ForeignTensor | undefined {
  return value instanceof NumpyArray ? value.tensor : value instanceof ForeignTensor ? value : undefined;
}

/** @throws WeightsError when there are tensors nowhere, or only those of a teacher and the momentum encoder is asked for beside them */
export function findStateDict(root: unknown, encoder: Encoder): StateDict {
  for (const place of PLACES) {
    const beside: string[] = [];
    let inner = root;
    for (const key of place) {
      if (!(inner instanceof Map)) break;
      beside.push(...keysOf(inner).filter((other) => other !== key));
      inner = inner.get(key) as unknown;
    }
    if (!(inner instanceof Map)) continue;
    const entries = [...(inner as Map<unknown, unknown>)].map(([key, value]) => [String(key), asTensor(value)] as const);
    const tensors = new Map(entries.filter((entry): entry is [string, ForeignTensor] => entry[1] !== undefined));
    if (tensors.size === 0) continue;
    if (place[0] === TEACHER && encoder === 'key')
      throw new WeightsError(
        `holds its momentum encoder as ${quoted(TEACHER)}, which is what is read of it anyway: leave --encoder key out`,
      );
    return { tensors, beside: [...beside, ...entries.flatMap(([key, tensor]) => (tensor ? [] : [key]))] };
  }
  const holds = root instanceof Map ? `a dict of ${quoted(keysOf(root).slice(0, 8))}` : 'no dict';
  const places = PLACES.flatMap((place) => (place.length > 0 ? [place.join('.')] : [])).join(', ');
  throw new WeightsError(`holds ${holds}: expected a state dict, by itself or under ${places}`);
}

function keysOf(dict: ReadonlyMap<unknown, unknown>): string[] {
  return [...dict.keys()].map(String);
}

export interface NamedTensor {
  /** In the file. */
  readonly key: string;
  readonly tensor: ForeignTensor;
}

export interface Named {
  readonly naming: Naming;
  readonly prefix: string;
  /** By torchvision's names. */
  readonly tensors: ReadonlyMap<string, NamedTensor>;
  /** Keys without the prefix. */
  readonly others: readonly string[];
}

/** @throws WeightsError when the names are nobody's, or there is no such encoder */
export function nameTensors(tensors: StateDict['tensors'], encoder: Encoder): Named {
  const has = (one: Naming, prefix: string): boolean => tensors.has(firstOf({ ...one, prefix }));
  const momentumOf = (one: Naming): string | undefined => one.keyPrefixes?.find((prefix) => has(one, prefix));
  const naming = NAMINGS.find((one) => has(one, one.prefix)) ?? NAMINGS.find((one) => momentumOf(one) !== undefined);
  if (!naming) {
    const some = [...tensors.keys()].slice(0, 4).map(quoted).join(', ');
    const known = NAMINGS.map((one) => quoted(firstOf(one))).join(', ');
    throw new WeightsError(`holds no ResNet under a name that is known: it has ${some}; expected one of ${known}`);
  }
  const prefix = encoder === 'query' ? naming.prefix : momentumOf(naming);
  if (prefix === undefined || !has(naming, prefix))
    throw new WeightsError(
      encoder === 'query'
        ? `holds a momentum encoder and no query encoder (its names are those of ${naming.form}): give --encoder key`
        : `holds one encoder and no momentum encoder (its names are those of ${naming.form}): leave --encoder key out`,
    );
  const { rename = (name: string) => name } = naming;
  const named = new Map<string, NamedTensor>();
  const others: string[] = [];
  for (const [key, tensor] of tensors) {
    if (key.startsWith(prefix)) named.set(rename(key.slice(prefix.length)), { key, tensor });
    else others.push(key);
  }
  return { naming, prefix, tensors: named, others };
}

function firstOf({ prefix, first = 'conv1.weight' }: Pick<Naming, 'prefix' | 'first'>): string {
  return `${prefix}${first}`;
}
