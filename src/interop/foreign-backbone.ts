/** The backbone in a file of somebody else: every key of it is loaded, left aside with a reason, or an error. */
import { counted } from '../common/counted.js';
import { quoted } from '../common/quoted.js';
import type { StoredTensor } from '../common/safetensors.js';
import { resNet, type ResNetOptions } from '../model/network/architecture.js';
import { fromTorchLayout, type ParameterSpec, torchShape } from '../model/network/parameters.js';
import { FLOATS, isFloat } from './dtype.js';
import { inferArchitecture } from './infer.js';
import { reasonBeside } from './names.js';
import { type Encoder, findStateDict, type Named, type NamedTensor, nameTensors } from './state-dict.js';
import type { OpenedFile } from './torch-file.js';
import { about, WeightsError } from './weights-error.js';

/** Keys of a file that hold no part of the backbone. */
export interface LeftOut {
  readonly reason: string;
  readonly keys: readonly string[];
}

export interface ForeignBackbone {
  readonly architecture: ResNetOptions;
  /** By torchvision's names, in detco's layout. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** Whose names they were, and what stood before them. */
  readonly form: string;
  readonly prefix: string;
  /** Types that were converted to float32. */
  readonly converted: readonly string[];
  readonly leftOut: readonly LeftOut[];
}

/** Most names that a message lists. */
const MOST_LISTED = 4;

/** @throws WeightsError for keys that are unknown or missing, shapes that are none of a ResNet of detco, and numbers that are none */
export async function readBackbone({ root }: Pick<OpenedFile, 'root'>, encoder: Encoder): Promise<ForeignBackbone> {
  const { tensors, beside } = findStateDict(root, encoder);
  const named = nameTensors(tensors, encoder);
  const architecture = inferArchitecture(new Map([...named.tensors].map(([name, { tensor }]) => [name, tensor.shape])));
  const { parameters, buffers } = resNet(architecture);
  const specs = [...parameters, ...buffers];
  const leftOut = account(named, specs);
  const loaded = new Map<string, StoredTensor>();
  for (const spec of specs) loaded.set(spec.name, await valuesOf(spec, named.tensors.get(spec.name), architecture));
  const dtypes = new Set(specs.map(({ name }) => named.tensors.get(name)?.tensor.dtype ?? ''));
  return {
    architecture,
    tensors: loaded,
    form: named.naming.form,
    prefix: named.prefix,
    converted: [...dtypes].filter((dtype) => dtype !== 'F32'),
    leftOut: beside.length === 0 ? leftOut : [...leftOut, { reason: 'beside the network', keys: beside }],
  };
}

/** What is left out of a file, by reason. */
function account({ tensors, others, prefix, naming }: Named, specs: readonly ParameterSpec[]): LeftOut[] {
  const expected = new Set(specs.map(({ name }) => name));
  const behindPrefix = [...tensors].flatMap(([name, { key }]) => (expected.has(name) ? [] : [{ key, name }]));
  const byReason = new Map<string, string[]>();
  const unknown: string[] = [];
  for (const { key, name } of [...others.map((key) => ({ key, name: key })), ...behindPrefix]) {
    const isQuery = prefix !== naming.prefix && key.startsWith(naming.prefix);
    const reason = isQuery ? 'the query encoder' : reasonBeside(name);
    if (reason === undefined) unknown.push(key);
    else byReason.set(reason, [...(byReason.get(reason) ?? []), key]);
  }
  const missing = specs.flatMap(({ name }) => (tensors.has(name) ? [] : [`${prefix}${name}`]));
  const problems = [
    ...(unknown.length > 0 ? [`holds ${counted(unknown.length, 'key')} that no ResNet of detco has: ${listed(unknown)}`] : []),
    ...(missing.length > 0 ? [`lacks ${counted(missing.length, 'key')} that it needs: ${listed(missing)}`] : []),
  ];
  if (problems.length > 0) throw new WeightsError(problems.join('; it '));
  return [...byReason].map(([reason, its]) => ({ reason, keys: its }));
}

function listed(keys: readonly string[]): string {
  const more = keys.length > MOST_LISTED ? `, and ${keys.length - MOST_LISTED} more` : '';
  return `${keys.slice(0, MOST_LISTED).map(quoted).join(', ')}${more}`;
}

async function valuesOf(
  { name, shape }: ParameterSpec,
  found: NamedTensor | undefined,
  { arch, width }: ResNetOptions,
): Promise<StoredTensor> {
  if (!found) throw new WeightsError(`lacks ${quoted(name)}`);
  const { key, tensor } = found;
  const expected = torchShape(shape);
  if (tensor.shape.join() !== expected.join())
    throw new WeightsError(
      `holds ${quoted(key)} with shape [${tensor.shape.join(', ')}]: expected [${expected.join(', ')}], as ${arch} of width ${width} has it`,
    );
  if (!isFloat(tensor.dtype)) throw new WeightsError(`holds ${quoted(key)} as ${tensor.dtype}: expected ${FLOATS.join(', ')}`);
  const values = await tensor.values().catch(about(`holds ${quoted(key)}, and`));
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) throw new WeightsError(`holds ${values[bad]} in ${quoted(key)}: a network with it computes nothing`);
  if (name.endsWith('.running_var') && values.some((value) => value < 0))
    throw new WeightsError(`holds a negative variance in ${quoted(key)}`);
  return { shape, data: fromTorchLayout({ values, shape: tensor.shape }).values };
}
