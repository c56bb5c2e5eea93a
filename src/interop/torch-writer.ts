/**
 * What torch.save writes of a state dict, so that torch.load reads it with `weights_only=True`, from torch 1.13 on: protocol 2, one storage
 * a tensor, and no name in the pickle but those of tensors and dicts.
 */
import { Global, pickle, type PickleValue } from './pickle-writer.js';
import { type ZipEntry, zip } from './zip-writer.js';

/** A tensor as PyTorch lays it out. */
export interface TorchTensor {
  readonly shape: readonly number[];
  readonly type: 'float32' | 'int64';
  readonly values: () => Float32Array | BigInt64Array;
}

const ORDERED_DICT = new Global('collections', 'OrderedDict');
const REBUILD = new Global('torch._utils', '_rebuild_tensor_v2');
const STORAGES = { float32: new Global('torch', 'FloatStorage'), int64: new Global('torch', 'LongStorage') };

function size(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function orderedDict(entries: Iterable<readonly [string, PickleValue]>): PickleValue {
  return { callee: ORDERED_DICT, args: [], items: new Map(entries) };
}

/**
 * @param wrap puts the state dict into what is saved
 * @returns the chunks of the file
 */
export function torchArchive(
  tensors: ReadonlyMap<string, TorchTensor>,
  wrap: (stateDict: PickleValue) => PickleValue = (stateDict) => stateDict,
): Generator<Uint8Array> {
  const named = [...tensors].map(([name, { shape, type }], key): [string, PickleValue] => {
    const storage = { id: ['storage', STORAGES[type], String(key), 'cpu', size(shape)] };
    const strides = shape.map((_, i) => size(shape.slice(i + 1)));
    return [name, { callee: REBUILD, args: [storage, 0, [...shape], strides, false, orderedDict([])] }];
  });
  return zip(records(Buffer.concat([...pickle(wrap(orderedDict(named)), 2)]), tensors));
}

/** torch takes the folder's name from the first record. */
function* records(main: Uint8Array, tensors: ReadonlyMap<string, TorchTensor>): Generator<ZipEntry> {
  yield { name: 'archive/data.pkl', bytes: main };
  yield { name: 'archive/byteorder', bytes: Buffer.from('little') };
  let key = 0;
  for (const { values } of tensors.values()) {
    const { buffer, byteOffset, byteLength } = values();
    yield { name: `archive/data/${key++}`, bytes: new Uint8Array(buffer, byteOffset, byteLength) };
  }
  yield { name: 'archive/version', bytes: Buffer.from('3\n') };
}
