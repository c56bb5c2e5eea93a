/** What torch.save writes: a zip archive since torch 1.6, before that pickles and storages one after the other. */
import { open, type FileHandle } from 'node:fs/promises';
import { allowedNames, Storage, type StorageId } from './allowed-names.js';
import { DTYPE_BYTES } from './dtype.js';
import { isDtype } from './foreign-tensor.js';
import { PickleEndError, readPickle } from './pickle-reader.js';
import { WeightsError } from './weights-error.js';
import { openZip } from './zip-reader.js';

/** What is in a file, by Python's objects, with a `ForeignTensor` or `NumpyArray` for each tensor. */
export interface OpenedFile extends AsyncDisposable {
  readonly root: unknown;
}

function bytesOf({ key, dtype, count }: StorageId): number {
  if (!isDtype(dtype)) throw new WeightsError(`holds the storage "${key}" of the unknown type ${dtype}`);
  return count * DTYPE_BYTES[dtype];
}

/**
 * A zip archive: `NAME/data.pkl`, and each storage in `NAME/data/KEY`.
 * @throws WeightsError
 */
export async function openTorchZip(path: string): Promise<OpenedFile> {
  const zip = await openZip(path);
  try {
    const { records } = zip;
    const main = [...records.keys()].find((name) => /^[^/]+\/data\.pkl$/.test(name)) ?? '';
    const folder = main.slice(0, -'data.pkl'.length);
    const pickle = await records.get(main)?.read();
    if (!pickle) throw new WeightsError('is a zip archive without a data.pkl: torch.save did not write it');
    if (records.has(`${folder}constants.pkl`))
      throw new WeightsError('is a TorchScript archive: save the state_dict of the model with torch.save');
    if ((await records.get(`${folder}byteorder`)?.read())?.toString() === 'big')
      throw new WeightsError('holds big-endian numbers: expected little-endian ones');
    /** The storage that was read last: all tensors may lie in one. */
    let held: { readonly name: string; readonly bytes: Buffer } | undefined;
    const storage = (id: StorageId): Storage => {
      const name = `${folder}data/${id.key}`;
      return new Storage(id.dtype, async () => {
        const bytes = held?.name === name ? held.bytes : await records.get(name)?.read();
        if (!bytes) throw new WeightsError(`has no "${name}", where it lies`);
        if (bytes.length < bytesOf(id)) throw new WeightsError(`has ${bytes.length} bytes in "${name}": expected ${bytesOf(id)}`);
        held = { name, bytes };
        return bytes;
      });
    };
    const { value } = readPickle(pickle, allowedNames(storage));
    return { root: value, [Symbol.asyncDispose]: () => zip[Symbol.asyncDispose]() };
  } catch (error) {
    await zip[Symbol.asyncDispose]();
    throw error;
  }
}

/** torch/serialization.py */
export const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;
/** What the pickles before the storages may take. */
const MOST_PICKLED = 1 << 26;
const COUNT_BYTES = 8;

/**
 * Before torch 1.6: pickles of a magic number, the protocol, the system, the object and the keys of its storages; then, for each key, a
 * count and so many values.
 * @throws WeightsError
 */
export async function openOldTorch(path: string): Promise<OpenedFile> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const head = await readAt(file, 0, Math.min(size, MOST_PICKLED));
    /** By key; where they lie follows from the keys, which come after the object. */
    const ids = new Map<string, StorageId>();
    const places = new Map<string, number>();
    const storage = (id: StorageId): Storage => {
      ids.set(id.key, id);
      return new Storage(id.dtype, () => readAt(file, places.get(id.key) ?? size, bytesOf(id)));
    };
    let at = 0;
    const next = (): unknown => {
      try {
        const { value, end } = readPickle(head, allowedNames(storage), at);
        at = end;
        return value;
      } catch (error) {
        if (!(error instanceof PickleEndError) || head.length === size) throw error;
        throw new WeightsError(`has more than ${MOST_PICKLED} bytes before its tensors: save the state_dict alone`, { cause: error });
      }
    };
    if (next() !== MAGIC) throw new WeightsError('is a pickle that torch.save did not write');
    const protocol = next();
    if (protocol !== PROTOCOL) throw new WeightsError(`was saved in protocol ${String(protocol)} of torch: expected ${PROTOCOL}`);
    const system = next();
    if (system instanceof Map && system.get('little_endian') === false)
      throw new WeightsError('holds big-endian numbers: expected little-endian ones');
    const root = next();
    const keys = next();
    if (!Array.isArray(keys)) throw new WeightsError('has no list of its storages');
    for (const key of keys as readonly unknown[]) {
      const id = ids.get(String(key));
      if (!id) throw new WeightsError(`has a storage "${String(key)}" that no tensor lies in`);
      const count = Number((await readAt(file, at, COUNT_BYTES)).readBigInt64LE());
      if (count !== id.count)
        throw new WeightsError(`is damaged: the storage "${id.key}" at byte ${at} has ${count} values, and not ${id.count}`);
      places.set(id.key, at + COUNT_BYTES);
      at += COUNT_BYTES + bytesOf(id);
    }
    if (at > size) throw new WeightsError(`is not whole: its storages end at byte ${at}, the file at ${size}`);
    return { root, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { size } = await file.stat();
  if (position + length > size) throw new WeightsError(`is not whole: it ends at byte ${size}, before byte ${position + length}`);
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length;) {
    const { bytesRead } = await file.read(bytes, done, length - done, position + done);
    if (bytesRead === 0) throw new WeightsError(`is not whole: it ends at byte ${position + done}`);
    done += bytesRead;
  }
  return bytes;
}
