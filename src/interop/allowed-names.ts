/**
 * What a pickle of weights may name, and what that is here. The list is that of torch.load's `weights_only`, as far as files of weights have
 * it, NumPy's arrays, and the options that training scripts keep beside the weights. Whatever else a pickle names is an error with the name.
 */
import { ForeignTensor } from './foreign-tensor.js';
import { NumpyArray, NumpyDtype } from './numpy-array.js';
import { Built, Callable, type References } from './pickle-reader.js';
import { WeightsError } from './weights-error.js';

/** What is of no use here, and does nothing: options, a device. */
class Inert extends Built {
  build(): void {}
}

/** The type of a storage, as a pickle names it. */
class StorageType {
  readonly dtype: string;

  constructor(dtype: string) {
    this.dtype = dtype;
  }
}

/** What tensors of torch lie in. */
export class Storage {
  readonly dtype: string;
  readonly read: () => Promise<Uint8Array>;

  constructor(dtype: string, read: () => Promise<Uint8Array>) {
    this.dtype = dtype;
    this.read = read;
  }
}

/** What a persistent id of torch says of a storage. */
export interface StorageId {
  readonly key: string;
  readonly dtype: string;
  /** Values that it holds. */
  readonly count: number;
}

const STORAGES: Readonly<Record<string, string>> = {
  DoubleStorage: 'F64',
  FloatStorage: 'F32',
  HalfStorage: 'F16',
  BFloat16Storage: 'BF16',
  LongStorage: 'I64',
  IntStorage: 'I32',
  ShortStorage: 'I16',
  CharStorage: 'I8',
  ByteStorage: 'U8',
  BoolStorage: 'BOOL',
};

/** torch's types of numbers, which optimizers' options hold. */
const TORCH_DTYPE = /^torch\.(float|double|half|bfloat16|float16|float32|float64|u?int\d+|long|bool)$/;

function asCount(value: unknown): number {
  const count = Number(value);
  if (!Number.isSafeInteger(count) || count < 0) throw new WeightsError(`holds a tensor with ${String(value)} where a count belongs`);
  return count;
}

function asCounts(value: unknown): number[] {
  if (!Array.isArray(value)) throw new WeightsError('holds a tensor without a shape');
  return value.map(asCount);
}

function rebuildTensor([storage, offset, shape, strides]: readonly unknown[]): ForeignTensor {
  if (!(storage instanceof Storage)) throw new WeightsError('holds a tensor that lies in no storage');
  const layout = { offset: asCount(offset), strides: asCounts(strides) };
  return new ForeignTensor(storage.dtype, asCounts(shape), storage.read, layout);
}

/** A dict of none, of pairs, or of a dict. */
function dictOf([items = []]: readonly unknown[]): Map<unknown, unknown> {
  if (items instanceof Map) return new Map(items);
  if (!Array.isArray(items) || !items.every(Array.isArray)) throw new WeightsError('holds a dict that is made of no pairs');
  return new Map(items as [unknown, unknown][]);
}

function encode([text, encoding]: readonly unknown[]): Buffer {
  if (typeof text !== 'string' || encoding !== 'latin1') throw new WeightsError(`holds text in the encoding "${String(encoding)}"`);
  return Buffer.from(text, 'latin1');
}

const CALLED: Readonly<Record<string, (args: readonly unknown[]) => unknown>> = {
  'collections.OrderedDict': dictOf,
  'collections.Counter': dictOf,
  'argparse.Namespace': () => new Inert(),
  '_codecs.encode': encode,
  'torch.Size': ([shape]) => shape,
  'torch.device': () => new Inert(),
  'torch._utils._rebuild_tensor': rebuildTensor,
  'torch._utils._rebuild_tensor_v2': rebuildTensor,
  'torch._utils._rebuild_parameter': ([tensor]) => tensor,
  'numpy.dtype': ([name]) => new NumpyDtype(name),
  'numpy.core.multiarray._reconstruct': () => new NumpyArray(),
  'numpy.core.multiarray.scalar': () => new Inert(),
  'numpy.core.numeric._frombuffer': (args) => NumpyArray.fromBuffer(args),
};

/** Named and not called. */
const MENTIONED: ReadonlySet<string> = new Set(['numpy.ndarray']);

function named(written: string): unknown {
  // NumPy 2 moved it.
  const name = written.replace(/^numpy\._core\./, 'numpy.core.');
  const call = Object.hasOwn(CALLED, name) ? CALLED[name] : undefined;
  if (call) return new Callable(name, call);
  const storage = /^torch\.(\w+)$/.exec(name)?.[1] ?? '';
  if (Object.hasOwn(STORAGES, storage)) return new StorageType(STORAGES[storage] ?? '');
  if (MENTIONED.has(name) || TORCH_DTYPE.test(name)) return new Inert();
  throw new WeightsError(
    `asks for "${written}", which a file of weights has no need of: it was not called, and nothing of the file was run. ` +
      'If you trust its source, load it where it was made, and save the state_dict alone',
  );
}

/** @param storage what a storage is in the file at hand */
export function allowedNames(storage?: (id: StorageId) => Storage): References {
  if (!storage) return { named };
  const persistent = (id: unknown): Storage => {
    const [kind, type, key, , count, view] = Array.isArray(id) ? (id as readonly unknown[]) : [];
    if (kind !== 'storage' || !(type instanceof StorageType) || typeof key !== 'string')
      throw new WeightsError('refers to what is no storage of torch');
    if (view !== undefined && view !== null)
      throw new WeightsError('holds views of storages, as torch before 0.4 saved them: save it with a later one');
    return storage({ key, dtype: type.dtype, count: asCount(count) });
  };
  return { named, persistent };
}
