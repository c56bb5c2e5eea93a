import { mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openSafetensors, pieces, readSafetensors, tensorBytes, writeSafetensors, type TensorSource } from '#dist/common/safetensors.js';

function source(shape: readonly number[], values: readonly number[]): TensorSource {
  return { shape, data: async () => Float32Array.from(values) };
}

test('bytes are taken in pieces, of which Node hashes and reads one at a time', () => {
  const bytes = Uint8Array.from({ length: 8 }, (_, i) => i);
  expect(Array.from(pieces(bytes.subarray(1), 3), (piece) => Array.from(piece))).toEqual([[1, 2, 3], [4, 5, 6], [7]]);
  expect([...pieces(bytes, 8)]).toEqual([bytes]);
  expect([...pieces(bytes.subarray(0, 0))]).toEqual([]);
});

describe('safetensors', () => {
  let folder = '';
  let path = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'detco-safetensors-'));
    path = join(folder, 'a.safetensors');
  });
  afterEach(() => rm(folder, { recursive: true }));

  test('returns the bits it was given, in order', async () => {
    const odd = [0, -0, 1e-45, Number.MAX_VALUE, NaN, -Infinity];
    const tensors = new Map([
      ['layer1.0.conv1.weight', source([1, 2, 3], odd)],
      ['scalar', source([], [0.1])],
      ['none', source([0, 4], [])],
    ]);
    await writeSafetensors(path, tensors, { format: 'detco' });
    const read = await readSafetensors(path);
    expect([...read.keys()]).toEqual([...tensors.keys()]);
    expect(read.get('layer1.0.conv1.weight')?.shape).toEqual([1, 2, 3]);
    expect(Buffer.from(read.get('layer1.0.conv1.weight')?.data.buffer ?? new ArrayBuffer(0))).toEqual(
      Buffer.from(Float32Array.from(odd).buffer),
    );
    expect(read.get('scalar')).toEqual({ shape: [], data: Float32Array.of(0.1) });
    expect(read.get('none')).toEqual({ shape: [0, 4], data: new Float32Array() });
    expect(tensorBytes(tensors)).toBe(28);
  });

  test('lays the file out as the format says', async () => {
    await writeSafetensors(path, new Map([['b', source([2], [1, 2])]]), { format: 'detco' });
    const bytes = await readFile(path);
    const length = Number(bytes.readBigUInt64LE());
    expect(length % 8).toBe(0);
    expect(JSON.parse(bytes.toString('utf8', 8, 8 + length))).toEqual({
      __metadata__: { format: 'detco' },
      b: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
    });
    expect([bytes.readFloatLE(8 + length), bytes.readFloatLE(12 + length), bytes.length]).toEqual([1, 2, 16 + length]);
  });

  test('refuses a file that ends early, naming it', async () => {
    await writeSafetensors(path, new Map([['b', source([4], [1, 2, 3, 4])]]));
    await truncate(path, (await readFile(path)).length - 4);
    await expect(readSafetensors(path)).rejects.toThrow(`${path} is not a complete safetensors file`);
    await writeFile(path, 'not a tensor');
    await expect(readSafetensors(path)).rejects.toThrow(`${path} is not a safetensors file`);
  });

  /** A file of float32 tensors at these places of `bytes` bytes of data. */
  async function writeAt(places: Readonly<Record<string, readonly [number, number]>>, bytes: number): Promise<void> {
    const entries = Object.entries(places).map(([name, [start, end]]) => {
      return [name, { dtype: 'F32', shape: [(end - start) / 4], data_offsets: [start, end] }];
    });
    const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await writeFile(path, Buffer.concat([length, header, Buffer.alloc(bytes)]));
  }

  test('refuses tensors that overlap, bytes between them and bytes behind the last, naming the tensor', async () => {
    await writeAt({ b: [4, 12], a: [0, 8] }, 12);
    await expect(openSafetensors(path)).rejects.toThrow(
      `${path} is not a safetensors file: "b" begins at byte 4 of the data, and "a" ends at byte 8: tensors may not overlap`,
    );
    await writeAt({ a: [0, 8], b: [0, 8] }, 8);
    await expect(openSafetensors(path)).rejects.toThrow(
      '"b" begins at byte 0 of the data, and "a" ends at byte 8: tensors may not overlap',
    );
    await writeAt({ a: [0, 8], b: [12, 20] }, 20);
    await expect(openSafetensors(path)).rejects.toThrow(
      '"b" begins at byte 12 of the data, and "a" ends at byte 8: no byte may lie between tensors',
    );
    await writeAt({ a: [4, 8] }, 8);
    await expect(openSafetensors(path)).rejects.toThrow('"a" begins at byte 4 of the data, and nothing lies before it');
    await writeAt({ b: [8, 16], a: [0, 8] }, 20);
    await expect(openSafetensors(path)).rejects.toThrow('4 bytes follow "b", the last of its tensors');
    await writeAt({ b: [8, 16], a: [0, 8] }, 12);
    await expect(openSafetensors(path)).rejects.toThrow(
      `${path} is not a complete safetensors file: "b" ends at byte 16 of the data, of which there are 12`,
    );
  });

  test('takes tensors in any order of names, and those without values between others', async () => {
    await writeAt({ b: [8, 16], none: [8, 8], a: [0, 8] }, 16);
    expect([...(await readSafetensors(path)).keys()]).toEqual(['b', 'none', 'a']);
  });

  /** A file of one tensor with so many bytes of zeros. */
  async function writeOne(name: string, dtype: string, shape: readonly number[], bytes: number): Promise<void> {
    // As text: an object literal has no property of the name `__proto__`.
    const header = Buffer.from(`{${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [0, bytes] })}}`);
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await writeFile(path, Buffer.concat([length, header, Buffer.alloc(bytes)]));
  }

  test.each([
    ['F16', [16], 64, '"bn1.weight" has 64 bytes, and F16 of shape [16] takes 32 bytes'],
    ['F32', [16], 60, '"bn1.weight" has 60 bytes, and F32 of shape [16] takes 64 bytes'],
    ['F32', [0, 4], 16, '"bn1.weight" has 16 bytes, and F32 of shape [0, 4] takes 0 bytes'],
    ['U8', [], 2, '"bn1.weight" has 2 bytes, and U8 of shape [] takes 1 byte'],
  ])('refuses a tensor of type %s and shape %j in %d bytes, naming it', async (dtype, shape, bytes, message) => {
    await writeOne('bn1.weight', dtype, shape, bytes);
    await expect(openSafetensors(path)).rejects.toThrow(`${path} is not a safetensors file: ${message}`);
  });

  test('takes a tensor of a type that is not known here, and of one whose values are parts of bytes', async () => {
    for (const [dtype, shape] of [
      ['F9', [2]],
      ['F4', [6]],
    ] as const) {
      await writeOne('bn1.weight', dtype, shape, 3);
      await using file = await openSafetensors(path);
      expect(file.tensors.get('bn1.weight')).toMatchObject({ dtype, shape });
    }
  });

  test('keeps a tensor of any name, `__proto__` too', async () => {
    await writeOne('__proto__', 'F32', [2], 8);
    expect([...(await readSafetensors(path))]).toEqual([['__proto__', { shape: [2], data: new Float32Array(2) }]]);
  });

  test('keeps counts as int64 beside float32, and what the file says of itself', async () => {
    const count: TensorSource = { shape: [], dtype: 'I64', data: async () => BigInt64Array.of(7n) };
    const tensors = new Map([
      ['count', count],
      ['b', source([2], [1, 2])],
    ]);
    await writeSafetensors(path, tensors, { format: 'pt' });
    await using file = await openSafetensors(path);
    expect(file.metadata).toEqual({ format: 'pt' });
    expect([...file.tensors].map(([name, { dtype, shape }]) => ({ name, dtype, shape }))).toEqual([
      { name: 'count', dtype: 'I64', shape: [] },
      { name: 'b', dtype: 'F32', shape: [2] },
    ]);
    const bytes = await file.tensors.get('count')?.bytes();
    expect(new BigInt64Array(bytes?.buffer ?? new ArrayBuffer(0))).toEqual(BigInt64Array.of(7n));
    expect(tensorBytes(tensors)).toBe(16);
    await expect(readSafetensors(path)).rejects.toThrow(`${path} holds "count" as I64: expected F32`);
  });

  test('refuses values that do not fill their shape', async () => {
    await expect(writeSafetensors(path, new Map([['b', source([3], [1, 2])]]))).rejects.toThrow('Tensor "b" has 2 values for shape [3]');
  });
});
