/**
 * The safetensors format: 8 bytes of little-endian header length, a JSON header, then the tensors' bytes back to back.
 * Float32 only, which is all that TensorFlow.js variables hold. Tensors are fetched and written one at a time, so
 * a checkpoint of eight 65536 x 128 queues needs the memory of one.
 */
import { createHash } from 'node:crypto';
import { open, type FileHandle } from 'node:fs/promises';
import { z } from 'zod';

export interface StoredTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

/** A tensor whose values are fetched when its turn comes. */
export interface TensorSource {
  readonly shape: readonly number[];
  data(): Promise<Float32Array>;
}

const ordinal = z.int().nonnegative();
const entrySchema = z.object({ dtype: z.string(), shape: z.array(ordinal), data_offsets: z.tuple([ordinal, ordinal]) });
const headerSchema = z.record(z.string(), entrySchema);
type HeaderEntry = Readonly<z.output<typeof entrySchema>>;

const METADATA = '__metadata__';
const LENGTH_BYTES = 8;
/** The reference implementation refuses longer headers. */
const MAX_HEADER_BYTES = 100_000_000;

function elements(shape: readonly number[]): number {
  return shape.reduce((product, side) => product * side, 1);
}

/** Bytes that `writeSafetensors` will write, without the header. */
export function tensorBytes(tensors: ReadonlyMap<string, Pick<TensorSource, 'shape'>>): number {
  let bytes = 0;
  for (const { shape } of tensors.values()) bytes += 4 * elements(shape);
  return bytes;
}

/** Size and SHA-256 of a file. */
export interface FileSum {
  readonly bytes: number;
  /** In hexadecimal digits. */
  readonly sha256: string;
}

/** Writes and fsyncs `path`, in the order of `tensors`. `metadata` values must be strings, as the format asks. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorSource>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<FileSum> {
  const header: Record<string, unknown> = { [METADATA]: metadata };
  let offset = 0;
  for (const [name, { shape }] of tensors) {
    const end = offset + 4 * elements(shape);
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, end] };
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
    hash.update(data);
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
    await file.sync();
    return { bytes, sha256: hash.digest('hex') };
  } finally {
    await file.close();
  }
}

async function readExactly(file: FileHandle, path: string, buffer: Uint8Array, position: number): Promise<void> {
  let done = 0;
  while (done < buffer.byteLength) {
    const { bytesRead } = await file.read(buffer, done, buffer.byteLength - done, position + done);
    if (bytesRead === 0)
      throw new Error(
        `${path} is not a complete safetensors file: it ends at byte ${position + done}, ${buffer.byteLength - done} bytes early`,
      );
    done += bytesRead;
  }
}

function parseHeader(path: string, json: string): Record<string, HeaderEntry> {
  try {
    const { [METADATA]: _metadata, ...tensors } = JSON.parse(json) as Record<string, unknown>;
    return headerSchema.parse(tensors);
  } catch (error) {
    const reason = error instanceof z.ZodError ? z.prettifyError(error) : String(error);
    throw new Error(`${path} is not a safetensors file: its header cannot be read (${reason})`, { cause: error });
  }
}

/** Reads every tensor of `path`. Throws when the file is cut short, is no safetensors file, or holds other types than F32. */
export async function readSafetensors(path: string): Promise<Map<string, StoredTensor>> {
  const file = await open(path, 'r');
  try {
    const length = Buffer.alloc(LENGTH_BYTES);
    await readExactly(file, path, length, 0);
    const headerBytes = Number(length.readBigUInt64LE());
    if (headerBytes > MAX_HEADER_BYTES) throw new Error(`${path} is not a safetensors file: its header would be ${headerBytes} bytes long`);
    const json = Buffer.alloc(headerBytes);
    await readExactly(file, path, json, LENGTH_BYTES);
    const header = parseHeader(path, json.toString());
    const { size } = await file.stat();

    const tensors = new Map<string, StoredTensor>();
    for (const [
      name,
      {
        dtype,
        shape,
        data_offsets: [start, end],
      },
    ] of Object.entries(header)) {
      if (dtype !== 'F32') throw new Error(`${path} holds "${name}" as ${dtype}: expected F32`);
      if (end - start !== 4 * elements(shape))
        throw new Error(`${path} holds "${name}" in ${end - start} bytes: shape [${shape.join(', ')}] needs ${4 * elements(shape)}`);
      if (LENGTH_BYTES + headerBytes + end > size)
        throw new Error(
          `${path} is not a complete safetensors file: "${name}" ends at byte ${LENGTH_BYTES + headerBytes + end}, the file at ${size}`,
        );
      const data = new Float32Array(elements(shape));
      await readExactly(file, path, new Uint8Array(data.buffer), LENGTH_BYTES + headerBytes + start);
      tensors.set(name, { shape, data });
    }
    return tensors;
  } finally {
    await file.close();
  }
}
