/** What is written, by other people's readers; and where it goes. */
import { mkdtemp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { exportBackbone, importBackbone, loadBackbone, usageLines, type ExportFormat, type LoadedBackbone } from '#dist/interop/index.js';
import { toDetectron2 } from '#dist/interop/names.js';
import { toTorchLayout } from '#dist/model/network/parameters.js';
import { saveCheckpoint } from '#dist/train/checkpoint.js';
import { wherePythonHas } from '../support/python.js';
import { mayMount, mountDisk, unmountDisk } from '../support/small-disk.js';

const PEERS = 'test/interop/peers.py';
/** ResNet-18 of width 2, after 4 updates. */
const RUN = 'fixtures/runs/detco-0.1';

type Sums = Readonly<Record<string, readonly [shape: readonly number[], plain: number, ordered: number]>>;

let folder = '';
let backbone: LoadedBackbone;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-export-'));
  backbone = await loadBackbone(RUN);
});
afterAll(() => rm(folder, { recursive: true }));

async function exported(name: string, format: ExportFormat): Promise<string> {
  return (await exportBackbone(backbone, join(folder, name), format)).path;
}

/** @param rename torchvision's name -> that in the file */
function expectSums(found: Sums, rename = (name: string): string => name): void {
  expect(Object.keys(found).toSorted()).toEqual([...backbone.tensors.keys()].map(rename).toSorted());
  for (const [name, { data: values, shape }] of backbone.tensors) {
    const torch = toTorchLayout({ values, shape });
    const [foundShape, plain, ordered] = found[rename(name)] ?? [[], NaN, NaN];
    expect({ name, shape: foundShape }).toEqual({ name, shape: torch.shape });
    expect(plain).toBeCloseTo(
      torch.values.reduce((sum, value) => sum + value, 0),
      5,
    );
    expect(ordered).toBeCloseTo(
      torch.values.reduce((sum, value, i) => sum + value * Math.cos(i), 0),
      5,
    );
  }
}

const torch = wherePythonHas('torch', 'numpy');

torch.describe(`torch.load with weights_only${torch.note}`, () => {
  interface Loaded {
    readonly keys: readonly string[];
    readonly sums: Sums;
    readonly counts: readonly (readonly [value: number, dtype: string, dimensions: number])[];
    readonly contiguous: boolean;
  }

  test("reads a .pth: torchvision's keys in its order, filters [out, in, h, w], counts of batches as int64 scalars", async () => {
    const { keys, sums, counts, contiguous } = await torch.run<Loaded>(PEERS, 'load-torch', await exported('r18.pth', 'torchvision'));
    const first = ['weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked'].map((name) => `bn1.${name}`);
    expect(keys.slice(0, 7)).toEqual(['conv1.weight', ...first, 'layer1.0.conv1.weight']);
    expect(keys).toHaveLength(120);
    expect({ counts, contiguous }).toEqual({ counts: [[4, 'torch.int64', 0]], contiguous: true });
    expectSums(sums);
  });

  test('reads a .pth.tar of MoCo: module.encoder_q.* under state_dict', async () => {
    const { sums } = await torch.run<Loaded>(PEERS, 'load-torch', await exported('r18.pth.tar', 'moco'), 'state_dict');
    expectSums(sums, (name) => `module.encoder_q.${name}`);
  });
});

const safetensors = wherePythonHas('safetensors.numpy');

safetensors.test(`safetensors' own reader opens a .safetensors${safetensors.note}`, async () => {
  const path = await exported('r18.safetensors', 'timm');
  const { keys, sums, metadata } = await safetensors.run<{ keys: string[]; sums: Sums; metadata: object }>(PEERS, 'load-safetensors', path);
  expect(keys).toHaveLength(120);
  expect(metadata).toEqual({ format: 'pt', arch: 'resnet18' });
  expectSums(sums);
});

const numpy = wherePythonHas('numpy');

numpy.test(`by Detectron2's rules every key of its backbone is matched, and none is left${numpy.note}`, async () => {
  const path = await exported('r18.pkl', 'detectron2');
  const matched = await numpy.run<{ sums: Sums }>(PEERS, 'load-detectron2', path, '18', '2');
  expect(matched).toMatchObject({ wanted: 100, misfits: [], unused: [] });
  expectSums(matched.sums, toDetectron2);
});

describe('a file of weights', () => {
  test.each<[string, ExportFormat]>([
    ['again.pth', 'torchvision'],
    ['again.pkl', 'detectron2'],
    ['again.pth.tar', 'moco'],
    ['again.safetensors', 'safetensors'],
  ])('%s comes back as it was, and has the same bytes each time', async (name, format) => {
    const path = await exported(name, format);
    const bytes = await readFile(path);
    const { tensors, architecture } = await loadBackbone(path);
    expect({ tensors, architecture }).toEqual({ tensors: backbone.tensors, architecture: backbone.architecture });
    await exported(name, format);
    expect((await readFile(path)).equals(bytes)).toBe(true);
  });

  test('says what was left out, and why', async () => {
    const { keys, leftOut } = await exportBackbone(backbone, join(folder, 'said.pkl'), 'detectron2');
    expect(keys).toBe(100);
    expect(leftOut.map(({ reason, keys: its }) => [reason, its.length])).toEqual([
      ['heads for the pretext task', 32],
      ['other parts of the checkpoint', 3],
      ['counts of batches, which Detectron2 has no use for', 20],
    ]);
  });

  test('has an ending that its readers tell it by', async () => {
    await expect(exportBackbone(backbone, join(folder, 'r18.pth'), 'detectron2')).rejects.toThrow(
      'expected a name that ends in .pkl for the format detectron2, or --format torchvision or timm or moco',
    );
  });

  const diskTest = mayMount() ? test : test.skip;
  diskTest('on a disk that runs full is left as it was, and nothing half-written beside it', async () => {
    const disk = join(folder, 'disk');
    await mkdir(disk);
    mountDisk(disk, '32k');
    try {
      const path = join(disk, 'r18.pth');
      await writeFile(path, 'what was there');
      await expect(exportBackbone(backbone, path, 'torchvision')).rejects.toThrow('ENOSPC');
      expect(await readdir(disk)).toEqual(['r18.pth']);
      expect(await readFile(path, 'utf8')).toBe('what was there');
    } finally {
      unmountDisk(disk);
    }
  });
});

describe('the encoders of a run', () => {
  test('are both there where a momentum encoder follows', async () => {
    const key = await loadBackbone(RUN, { encoder: 'key' });
    expect(key.source).toMatchObject({ encoder: 'key', path: join(RUN, 'checkpoints/step-4/key.safetensors') });
    expect(key.tensors.get('conv1.weight')).not.toEqual(backbone.tensors.get('conv1.weight'));
  });

  test('are one where the method has one', async () => {
    const run = join(folder, 'simclr');
    const method = { name: 'simclr', host: {}, encoders: { query: 'online' } };
    const state = { format: 2, step: 0, epoch: 0, method, seed: 1, engine: 'wasm', configDigest: 'd', versions: {} } as const;
    const online = new Map([...backbone.tensors].map(([name, { shape, data }]) => [name, { shape, data: async () => data }]));
    await saveCheckpoint(run, state, { online, optimizer: new Map() });
    expect((await loadBackbone(run)).tensors).toEqual(backbone.tensors);
    await expect(loadBackbone(run, { encoder: 'key' })).rejects.toThrow('is of simclr, which has one encoder: leave --encoder key out');
  });
});

describe('an imported folder', () => {
  test('is read as the file that it comes from', async () => {
    const imported = join(folder, 'imported');
    const { source, loaded } = await importBackbone(await exported('from.pth.tar', 'moco'), imported);
    expect({ form: source.form, prefix: source.prefix, loaded }).toEqual({ form: 'MoCo', prefix: 'module.encoder_q.', loaded: 100 });
    expect((await loadBackbone(imported)).tensors).toEqual(backbone.tensors);
    const origin = JSON.parse(await readFile(join(imported, 'backbone.json'), 'utf8')) as object;
    expect(origin).toMatchObject({ architecture: { arch: 'resnet18', width: 2 }, source: { path: join(folder, 'from.pth.tar') } });
  });

  test('of imports at the same time holds one of them whole', async () => {
    const imported = join(folder, 'at-once');
    const sources = Array.from({ length: 8 }, (_, at) => ({ encoder: at % 2 === 0 ? 'query' : 'key' }) as const);
    for (let round = 0; round < 5; round++) {
      await Promise.all(sources.map((options) => importBackbone(RUN, imported, options)));
      const { encoder } = (JSON.parse(await readFile(join(imported, 'backbone.json'), 'utf8')) as { source: { encoder: 'query' | 'key' } })
        .source;
      expect((await loadBackbone(imported)).tensors).toEqual((await loadBackbone(RUN, { encoder })).tensors);
      expect((await readdir(imported)).toSorted()).toEqual(['backbone.json', 'backbone.safetensors']);
    }
  }, 300_000);

  test('whose weights are not those that were imported is refused', async () => {
    const imported = join(folder, 'damaged');
    await importBackbone(await exported('from.pth', 'torchvision'), imported);
    await writeFile(join(imported, 'backbone.safetensors'), 'something else');
    await expect(loadBackbone(imported)).rejects.toThrow(
      /backbone\.safetensors is not what .*backbone\.json tells of: .*import the weights again/,
    );
  });
});

describe('the lines to paste', () => {
  const r50 = { arch: 'resnet50', width: 64, stem: 'imagenet' } as const;

  test.each<[ExportFormat, string, string]>([
    ['torchvision', 'r50.pth', 'model.load_state_dict(torch.load("r50.pth", weights_only=True), strict=False)'],
    ['torchvision', 'r50.safetensors', 'safetensors.torch.load_file("r50.safetensors")'],
    ['timm', 'r50.pth', 'timm.create_model(\'resnet50\', num_classes=0, checkpoint_path="r50.pth")'],
    ['moco', 'r50.pth.tar', 'main_lincls.py -a resnet50 --pretrained r50.pth.tar'],
    ['detectron2', 'r50.pkl', 'STRIDE_IN_1X1: False'],
  ])('of %s name %s and how it is loaded', (format, path, expected) => {
    expect(usageLines(format, path, r50).join('\n')).toContain(expected);
  });

  test('tell what no builder of theirs can hold', () => {
    expect(usageLines('torchvision', 'tiny.pth', { ...r50, width: 16, stem: 'small' }).join('\n')).toMatch(
      /width is 16.*\n.*stem is a 3x3/,
    );
    expect(usageLines('detectron2', 'tiny.pkl', { arch: 'resnet18', width: 16, stem: 'imagenet' })).toEqual(
      expect.arrayContaining(['    DEPTH: 18', '    RES2_OUT_CHANNELS: 16', '    STEM_OUT_CHANNELS: 16', '    WIDTH_PER_GROUP: 16']),
    );
  });
});
