/**
 * The safetensors format: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes back to back.
 * Tensors are fetched and written one at a time, so a checkpoint of eight 65536 x 128 queues needs the memory of one. What detco
 * writes is float32, which is all that TensorFlow.js variables hold, and counts as int64; files of others may hold more types.
 */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';
import { counted } from './counted.js';
import type { FileSum } from './file-sum.js';
import { quoted } from './quoted.js';
import { toDisk } from './replace-whole.js';

/** A tensor of a file, converted to float32. */
export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A tensor whose values are fetched when its turn comes. */
export interface TensorSource {
  readonly shape: readonly number[];
  /** Default `F32`. */
  readonly dtype?: 'F32' | 'I64';
  /** In row-major order. */
  data(): Promise<Float32Array | BigInt64Array>;
}

/** A tensor in a file that is open. */
export interface FiledTensor {
  /** As the format names it: `F32`, `BF16`, ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Its values, row by row, little-endian. */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;
}

export interface SafetensorsFile extends AsyncDisposable {
  readonly metadata: Readonly<Record<string, string>>;
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, FiledTensor>;
}

const ordinal = z.int().nonnegative();
const entrySchema = z.object({ dtype: z.string(), shape: z.array(ordinal), data_offsets: z.tuple([ordinal, ordinal]) });
/** A map, since a record leaves out the name `__proto__`. */
const headerSchema = z.map(z.string(), entrySchema);
const metadataSchema = z.record(z.string(), z.string()).default({});
interface Header {
  readonly metadata: Readonly<Record<string, string>>;
  readonly entries: ReadonlyMap<string, Readonly<z.output<typeof entrySchema>>>;
}

/** The types that the format has, as safetensors 0.8 lists them, by the bits of one value. */
const DTYPES = {
  4: ['F4'],
  6: ['F6_E2M3', 'F6_E3M2'],
  8: ['BOOL', 'U8', 'I8', 'F8_E5M2', 'F8_E4M3', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'],
  16: ['I16', 'U16', 'F16', 'BF16'],
  32: ['I32', 'U32', 'F32'],
  64: ['C64', 'F64', 'I64', 'U64'],
};
const DTYPE_BITS = new Map(Object.entries(DTYPES).flatMap(([bits, dtypes]) => dtypes.map((dtype) => [dtype, Number(bits)] as const)));

const METADATA = '__metadata__';
const LENGTH_BYTES = 8;
/** The reference implementation refuses longer headers. */
const MAX_HEADER_BYTES = 100_000_000;

function elements(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

function bytesOf({ shape, dtype = 'F32' }: Pick<TensorSource, 'shape' | 'dtype'>): number {
  return (dtype === 'F32' ? 4 : 8) * elements(shape);
}

/** Bytes that `writeSafetensors` will write, without the header. */
export function tensorBytes(tensors: ReadonlyMap<string, Pick<TensorSource, 'shape' | 'dtype'>>): number {
  let bytes = 0;
  for (const tensor of tensors.values()) bytes += bytesOf(tensor);
  return bytes;
}

/** Writes and fsyncs `path`, in the order of `tensors`. `metadata` values must be strings, as the format asks. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorSource>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<FileSum> {
  const header: Record<string, unknown> = { [METADATA]: metadata };
  let offset = 0;
  for (const [name, tensor] of tensors) {
    const end = offset + bytesOf(tensor);
    const { dtype = 'F32', shape } = tensor;
    header[name] = { dtype, shape, data_offsets: [offset, end] };
    offset = end;
  }
  const json = Buffer.from(JSON.stringify(header));
  // Spaces pad the header to 8 bytes so that the data can be memory-mapped as floats.
  const padding = (LENGTH_BYTES - (json.length % LENGTH_BYTES)) % LENGTH_BYTES;
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeBigUInt64LE(BigInt(json.length + padding));

  const hash = createHash('sha256');
  let bytes = 0;
  const file = await open(path, 'w');
  const write = async (data: Uint8Array) => {
    for (const piece of pieces(data)) hash.update(piece);
    bytes += data.byteLength;
    await file.writeFile(data);
  };
  try {
    await write(Buffer.concat([length, json, Buffer.alloc(padding, ' ')]));
    for (const [name, tensor] of tensors) {
      const data = await tensor.data();
      if (data.length !== elements(tensor.shape))
        throw new Error(`Tensor "${name}" has ${data.length} values for shape [${tensor.shape.join(', ')}]`);
      await write(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    await toDisk(file);
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

/**
 * Node hashes and reads fewer than 2^31 bytes at a time. A tensor may have more: the memory bank of four million images has.
 *
 * @param most bytes of a piece
 */
export function* pieces(data: Uint8Array, most = 2 ** 30): Generator<Uint8Array> {
  for (let at = 0; at < data.byteLength; at += most) yield data.subarray(at, at + most);
}

async function readExactly(file: FileHandle, path: string, buffer: Uint8Array, position: number): Promise<void> {
  let done = 0;
  for (const piece of pieces(buffer)) {
    for (let at = 0; at < piece.byteLength;) {
      const { bytesRead } = await file.read(piece, at, piece.byteLength - at, position + done);
      if (bytesRead === 0)
        throw new Error(
          `${path} is not a complete safetensors file: it ends at byte ${position + done}, ${buffer.byteLength - done} bytes early`,
        );
      at += bytesRead;
      done += bytesRead;
    }
  }
}

function parseHeader(path: string, json: string): Header {
  try {
    const { [METADATA]: metadata, ...tensors } = JSON.parse(json) as Record<string, unknown>;
    return { metadata: metadataSchema.parse(metadata), entries: headerSchema.parse(new Map(Object.entries(tensors))) };
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${path} is not a safetensors file: its header cannot be read (${reason})`, { cause: error });
  }
}

function notSafetensors(path: string, what: string): Error {
  return new Error(`${path} is not a safetensors file: ${what}; get it again, or have its program write it again`);
}

/** As the format's own readers do: bytes of another type would be read as other numbers. A type that is not known here may have any size. */
function assertFilled(path: string, entries: Header['entries']): void {
  for (const [name, { dtype, shape, data_offsets: range }] of entries) {
    const bits = DTYPE_BITS.get(dtype);
    const bytes = range[1] - range[0];
    if (bits === undefined || bits * elements(shape) === 8 * bytes) continue;
    const needed = counted((bits * elements(shape)) / 8, 'byte');
    throw notSafetensors(
      path,
      `${quoted(name)} has ${counted(bytes, 'byte')}, and ${dtype} of shape [${shape.join(', ')}] takes ${needed}`,
    );
  }
}

/**
 * The format wants every byte behind the header in one tensor, and its own readers refuse other files: bytes that two tensors share, or that
 * none has, are damage, or something that is not to be seen.
 *
 * @param size bytes behind the header
 */
function assertTiled(path: string, entries: Header['entries'], size: number): void {
  const wrong = (what: string) => notSafetensors(path, what);
  let covered = 0;
  let last: string | undefined;
  const inOrder = [...entries].toSorted(([, { data_offsets: a }], [, { data_offsets: b }]) => a[0] - b[0] || a[1] - b[1]);
  for (const [name, entry] of inOrder) {
    const [start, end] = entry.data_offsets;
    if (end < start) throw wrong(`${quoted(name)} would end at byte ${end} of the data, before it begins`);
    if (end > size)
      throw new Error(
        `${path} is not a complete safetensors file: ${quoted(name)} ends at byte ${end} of the data, of which there are ${size}; get it again`,
      );
    const before = last === undefined ? 'nothing lies before it' : `${quoted(last)} ends at byte ${covered}`;
    if (start < covered) throw wrong(`${quoted(name)} begins at byte ${start} of the data, and ${before}: tensors may not overlap`);
    if (start > covered) throw wrong(`${quoted(name)} begins at byte ${start} of the data, and ${before}: no byte may lie between tensors`);
    covered = end;
    last = name;
  }
  if (covered < size)
    throw wrong(
      last === undefined
        ? `it has no tensor, and ${counted(size, 'byte')} of data`
        : `${counted(size - covered, 'byte')} follow ${quoted(last)}, the last of its tensors`,
    );
}

/**
 * Opens a file of tensors of any type. Throws when the file is cut short, or is no safetensors file, such as where tensors overlap, or have
 * more or fewer bytes than their shape takes.
 */
export async function openSafetensors(path: string): Promise<SafetensorsFile> {
  const file = await open(path, 'r');
  try {
    const length = Buffer.alloc(LENGTH_BYTES);
    await readExactly(file, path, length, 0);
    const headerBytes = Number(length.readBigUInt64LE());
    if (headerBytes > MAX_HEADER_BYTES) throw new Error(`${path} is not a safetensors file: its header would be ${headerBytes} bytes long`);
    const json = Buffer.alloc(headerBytes);
    await readExactly(file, path, json, LENGTH_BYTES);
    const { metadata, entries } = parseHeader(path, json.toString());
    const data = LENGTH_BYTES + headerBytes;
    assertTiled(path, entries, (await file.stat()).size - data);
    assertFilled(path, entries);
    const tensors = new Map<string, FiledTensor>();
    for (const [name, { dtype, shape, data_offsets: range }] of entries) {
      const [start, end] = range;
      const bytes = async () => {
        const buffer = new Uint8Array(end - start);
        await readExactly(file, path, buffer, data + start);
        return buffer;
      };
      tensors.set(name, { dtype, shape, bytes });
    }
    return { metadata, tensors, [Symbol.asyncDispose]: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Reads every tensor of `path`. Throws when the file is cut short, is no safetensors file, or holds other types than F32. */
export async function readSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  await using file = await openSafetensors(path);
  const tensors = new Map<string, StoredTensor>();
  for (const [name, { dtype, shape, bytes }] of file.tensors) {
    if (dtype !== 'F32') throw new Error(`${path} holds "${name}" as ${dtype}: expected F32`);
    tensors.set(name, { shape, data: new Float32Array((await bytes()).buffer) });
  }
  return tensors;
}
