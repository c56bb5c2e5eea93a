/** Files that cannot be used are told by what is wrong with them; nothing is allocated by what they claim. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { readSafetensors, writeSafetensors, type StoredTensor } from '#dist/common/safetensors.js';
import { exportBackbone, loadBackbone, WeightsError } from '#dist/interop/index.js';
import { Global, pickle } from '#dist/interop/pickle-writer.js';
import { zip } from '#dist/interop/zip-writer.js';
import { torchShape } from '#dist/model/network/parameters.js';
import { openFiles } from '../support/open-files.js';

const RUN = 'fixtures/runs/detco-0.1';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-bad-files-'));
  const backbone = await loadBackbone(RUN);
  await exportBackbone(backbone, join(folder, 'good.pth'), 'torchvision');
  await exportBackbone(backbone, join(folder, 'good.pkl'), 'detectron2');
  await exportBackbone(backbone, join(folder, 'good.safetensors'), 'safetensors');
});
afterAll(() => rm(folder, { recursive: true }));

async function made(name: string, bytes: string | Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

async function expectRefused(path: string, message: string | RegExp): Promise<void> {
  const error: unknown = await loadBackbone(path).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(WeightsError);
  expect((error as Error).message).toMatch(message);
  expect((error as Error).message.startsWith(`${path} `)).toBe(true);
}

describe.each(['good.pth', 'good.pkl', 'good.safetensors'])('%s', (name) => {
  test('cut short anywhere is an error', async () => {
    const whole = await readFile(join(folder, name));
    const lengths = [0, 1, 3, 7, 9, 40, 1000, whole.length >> 1, whole.length - 30, whole.length - 1];
    for (const length of lengths)
      await expectRefused(
        await made(`cut-${name}`, whole.subarray(0, length)),
        /is not whole|is no whole|is not a complete|is no file of weights/,
      );
  });
});

describe('a zip archive', () => {
  /** Of the last line of the directory: its size is claimed to be `bytes`, in the form of archives beyond 4 GiB. */
  function claiming(archive: Buffer, bytes: bigint): Buffer {
    const end = archive.length - 22;
    const start = archive.readUInt32LE(end + 16);
    const last = archive.lastIndexOf('PK\u0001\u0002', end, 'latin1');
    const line = Buffer.from(archive.subarray(last, end));
    line.writeUInt32LE(0xffff_ffff, 20);
    line.writeUInt32LE(0xffff_ffff, 24);
    line.writeUInt16LE(20, 30);
    const extra = Buffer.alloc(20);
    extra.writeUInt16LE(1);
    extra.writeUInt16LE(16, 2);
    extra.writeBigUInt64LE(bytes, 4);
    extra.writeBigUInt64LE(bytes, 12);
    const tail = Buffer.from(archive.subarray(end));
    tail.writeUInt32LE(end - start + extra.length, 12);
    return Buffer.concat([archive.subarray(0, last), line, extra, tail]);
  }

  test('whose directory claims terabytes is refused without allocating them', async () => {
    const tiny = Buffer.concat([...zip([{ name: 'archive/data.pkl', bytes: Buffer.from('N.') }])]);
    await expectRefused(await made('terabytes.pth', claiming(tiny, 1n << 42n)), /is no whole zip archive: .*overflows/);
  });

  test('with a damaged record is told by its name', async () => {
    const bytes = await readFile(join(folder, 'good.pth'));
    const name = 'archive/data/7';
    const extra = bytes.indexOf(name, 0, 'latin1') + name.length;
    const value = 64 * Math.ceil((extra + 4) / 64);
    bytes[value] = (bytes[value] ?? 0) ^ 1;
    await expectRefused(await made('flipped.pth', bytes), 'is damaged: the CRC-32 of "archive/data/7" is not that which was written');
  });

  test('with a compressed record is refused, with what to do', async () => {
    const bytes = await readFile(join(folder, 'good.pth'));
    const line = bytes.indexOf('PK\u0001\u0002', 0, 'latin1');
    bytes.writeUInt16LE(8, line + 10);
    await expectRefused(await made('deflated.pth', bytes), 'holds "archive/data.pkl" compressed, which torch.save does not do');
  });

  test('that torch.save did not write is refused', async () => {
    const other = Buffer.concat([...zip([{ name: 'word/document.xml', bytes: Buffer.from('<xml/>') }])]);
    await expectRefused(await made('other.pth', other), 'is a zip archive without a data.pkl: torch.save did not write it');
  });

  interface Claim {
    /** Values of its storage. */
    readonly count: number;
    readonly strides: readonly number[];
  }

  /** A good state dict, but for what `bn1.weight` claims of the one number that it has. */
  async function claimingArchive({ count, strides }: Claim): Promise<Uint8Array> {
    const tensors = await loadFloats();
    tensors.set('bn1.weight', { shape: [2], data: Float32Array.of(1) });
    const calls = [...tensors].map(([name, { shape, data }], key) => {
      const isBad = name === 'bn1.weight';
      const storage = { id: ['storage', new Global('torch', 'FloatStorage'), String(key), 'cpu', isBad ? count : data.length] };
      const steps = isBad ? strides : shape.map((_, i) => shape.slice(i + 1).reduce((product, side) => product * side, 1));
      return [
        name,
        { callee: new Global('torch._utils', '_rebuild_tensor_v2'), args: [storage, 0, [...shape], steps, false, null] },
      ] as const;
    });
    const records = [...tensors.values()].map(({ data }, key) => ({
      name: `archive/data/${key}`,
      bytes: Buffer.from(data.slice().buffer),
    }));
    return Buffer.concat([...zip([{ name: 'archive/data.pkl', bytes: Buffer.concat([...pickle(new Map(calls), 2)]) }, ...records])]);
  }

  test.each<[string, Claim, string]>([
    ['petabytes of a storage', { count: 2 ** 50, strides: [1] }, 'and has 4 bytes in "archive/data/1": expected 4503599627370496'],
    ['more values than there are', { count: 1, strides: [2 ** 50] }, 'and has 1 value for its shape [2]'],
    ['two values of one', { count: 1, strides: [1] }, 'and has 1 value for its shape [2]'],
  ])('whose tensor claims %s is refused', async (_, claim, message) => {
    await expectRefused(await made('claims.pth', await claimingArchive(claim)), `holds "bn1.weight", ${message}`);
  });
});

/** A good state dict, in PyTorch's shapes. */
async function loadFloats(): Promise<Map<string, StoredTensor>> {
  const { tensors } = await loadBackbone(RUN);
  return new Map([...tensors].map(([key, { shape, data }]) => [key, { shape: torchShape(shape), data }]));
}

describe('a state dict', () => {
  async function altered(name: string, change: (tensors: Map<string, StoredTensor>) => void): Promise<string> {
    const path = join(folder, name);
    const floats = await loadFloats();
    change(floats);
    await writeSafetensors(path, new Map([...floats].map(([key, { shape, data }]) => [key, { shape, data: async () => data }])));
    return path;
  }

  const fill = (shape: readonly number[], value = 1): StoredTensor => ({
    shape,
    data: new Float32Array(shape.reduce((product, side) => product * side, 1)).fill(value),
  });

  test.each<[string, (tensors: Map<string, StoredTensor>) => void, string]>([
    [
      'with keys that no ResNet has',
      (tensors) => void tensors.set('layer1.0.se.weight', fill([2])).set('relative_position', fill([1])),
      'holds 2 keys that no ResNet of detco has: "layer1.0.se.weight", "relative_position"',
    ],
    [
      'that lacks keys',
      (tensors) => void (tensors.delete('layer3.0.bn1.running_var') && tensors.delete('bn1.bias')),
      'lacks 2 keys that it needs: "bn1.bias", "layer3.0.bn1.running_var"',
    ],
    [
      'with a tensor of another shape',
      (tensors) => void tensors.set('layer2.0.conv1.weight', fill([4, 4, 3, 3])),
      'holds "layer2.0.conv1.weight" with shape [4, 4, 3, 3]: expected [4, 2, 3, 3], as resnet18 of width 2 has it',
    ],
    [
      'with NaN',
      (tensors) => void tensors.set('bn1.weight', fill([2], Number.NaN)),
      'holds NaN in "bn1.weight": a network with it computes nothing',
    ],
    ['with infinity', (tensors) => void tensors.set('bn1.bias', fill([2], Infinity)), 'holds Infinity in "bn1.bias"'],
    [
      'with a negative variance',
      (tensors) => void tensors.set('bn1.running_var', fill([2], -1)),
      'holds a negative variance in "bn1.running_var"',
    ],
    [
      'of other depths',
      (tensors) => void tensors.set('layer1.2.conv1.weight', fill([2, 2, 3, 3])),
      'holds a network of 3, 2, 2, 2 basic units: expected one of resnet18, resnet34, resnet50, resnet101',
    ],
    [
      'without the first filter of a stage',
      (tensors) => void tensors.delete('layer2.0.conv1.weight'),
      'lacks 1 key that it needs: "layer2.0.conv1.weight"',
    ],
    [
      'of another stem',
      (tensors) => void tensors.set('conv1.weight', fill([2, 4, 7, 7])),
      'holds conv1.weight with shape [2, 4, 7, 7]: expected [width, 3, 7, 7], or [width, 3, 3, 3] of a stem for small images',
    ],
    [
      'of other names',
      (tensors) => void (tensors.clear(), tensors.set('features.0.weight', fill([1]))),
      'holds no ResNet under a name that is known: it has "features.0.weight"; expected one of "conv1.weight", "stem.conv1.weight"',
    ],
  ])('%s is refused, with the key', async (_, change, message) => {
    await expectRefused(await altered('altered.safetensors', change), message);
  });

  test('with a momentum encoder alone is loaded where it is asked for', async () => {
    const path = await altered('key-alone.safetensors', (tensors) => {
      const all = new Map(tensors);
      tensors.clear();
      for (const [name, tensor] of all) tensors.set(`module.encoder_k.${name}`, tensor);
    });
    await expectRefused(path, 'holds a momentum encoder and no query encoder (its names are those of MoCo): give --encoder key');
    expect((await loadBackbone(path, { encoder: 'key' })).source).toMatchObject({ encoder: 'key', prefix: 'module.encoder_k.' });
  });
});

test('a tensor of integers is refused, with its type and those that are read', async () => {
  const tensors = await loadFloats();
  const integers = { shape: [2], dtype: 'I64' as const, data: async () => BigInt64Array.of(1n, 1n) };
  const sources = [...tensors].map(
    ([key, { shape, data }]) => [key, key === 'bn1.weight' ? integers : { shape, data: async () => data }] as const,
  );
  const path = join(folder, 'integers.safetensors');
  await writeSafetensors(path, new Map(sources));
  await expectRefused(path, 'holds "bn1.weight" as I64: expected F64, F32, F16, BF16');
});

describe('what is no file of weights', () => {
  test.each([
    ['empty.pth', '', 'is no file of weights: it is empty'],
    ['page.pth', '<!DOCTYPE html><title>Quota exceeded</title>', 'is no file of weights: it begins with "<!DOCTYPE html><"'],
  ])('%s is told by how it begins', async (name, text, message) => {
    await expectRefused(await made(name, text), message);
  });

  test('a folder, and a path where nothing is, are arguments that cannot be used', async () => {
    for (const path of [folder, join(folder, 'nothing.pth')]) {
      const error: unknown = await loadBackbone(path).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ name: 'WeightsError', kind: 'missing', message: expect.stringContaining(path) });
    }
  });

  test('a part of a checkpoint is told to be one', async () => {
    await expectRefused(
      join(RUN, 'checkpoints/step-4/query.safetensors'),
      'is a part of a checkpoint of detco: give the folder that it lies in',
    );
    expect((await readSafetensors(join(RUN, 'checkpoints/step-4/query.safetensors'))).size).toBeGreaterThan(100);
  });

  test('safetensors that claim terabytes are refused without allocating them', async () => {
    const header = Buffer.from(JSON.stringify({ 'conv1.weight': { dtype: 'F32', shape: [2 ** 40], data_offsets: [0, 2 ** 42] } }));
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(header.length));
    await expectRefused(await made('claims.safetensors', Buffer.concat([length, header])), 'is not a complete safetensors file');
  });
});

test.each(['torch-2.15.pth', 'torch-2.15-old-format.pth', 'numpy-2.5.pkl'])(
  '%s with bytes changed is read, or refused in words',
  async (name) => {
    const whole = await readFile(join('fixtures/weights', name));
    const path = join(folder, 'changed');
    // Most of them where the structure is: the rest are values.
    const place = fc.oneof({ weight: 3, arbitrary: fc.nat(8000) }, fc.nat(whole.length - 1));
    const changes = fc.array(fc.tuple(place, fc.nat(255)), { minLength: 1, maxLength: 3 });
    await fc.assert(
      fc.asyncProperty(changes, async (bytes) => {
        const changed = Buffer.from(whole);
        for (const [at, value] of bytes) changed[at] = value;
        await writeFile(path, changed);
        const error: unknown = await loadBackbone(path).then(
          () => undefined,
          (reason: unknown) => reason,
        );
        if (error !== undefined) expect(error).toBeInstanceOf(WeightsError);
      }),
      { numRuns: 200 },
    );
  },
);

test('a file that is refused does not stay open', async () => {
  const path = join(folder, 'good.pth');
  const cut = await made('refused.pth', (await readFile(path)).subarray(0, 5000));
  const mine = (open: string): boolean => open.startsWith(folder);
  await expect(loadBackbone(cut)).rejects.toThrow(WeightsError);
  await expect(loadBackbone(path, { encoder: 'key' })).rejects.toThrow(WeightsError);
  await expect(loadBackbone(join(folder, 'good.safetensors'), { encoder: 'key' })).rejects.toThrow(WeightsError);
  expect(await openFiles(mine)).toBe(0);
});
