/** Files as other projects write them, by their own writers, and what is loaded of each. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { loadBackbone, type LoadedBackbone } from '#dist/interop/index.js';
import { toTorchLayout } from '#dist/model/network/parameters.js';
import { wherePythonHas } from '../support/python.js';

const PEERS = 'test/interop/peers.py';
const python = wherePythonHas('torch', 'torchvision', 'numpy');

/** Of a tensor: its shape, its sum, and a sum that depends on the order of its values. */
type Sums = Readonly<Record<string, readonly [shape: readonly number[], plain: number, ordered: number]>>;

let folder = '';
let sums: Sums = {};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-import-'));
  if (python.note === '') sums = await python.run<Sums>(PEERS, 'write-forms', folder);
});
afterAll(() => rm(folder, { recursive: true }));

function expectSame({ tensors }: LoadedBackbone, expected: Sums, tolerance: number): void {
  expect([...tensors.keys()].toSorted()).toEqual(Object.keys(expected).toSorted());
  for (const [name, { data, shape }] of tensors) {
    const torch = toTorchLayout({ values: data, shape });
    const [expectedShape, plain, ordered] = expected[name] ?? [[], NaN, NaN];
    expect({ name, shape: torch.shape }).toEqual({ name, shape: expectedShape });
    const scale = tolerance * Math.max(1, Math.sqrt(torch.values.length));
    expect(Math.abs(torch.values.reduce((sum, value) => sum + value, 0) - plain)).toBeLessThan(scale);
    expect(Math.abs(torch.values.reduce((sum, value, i) => sum + value * Math.cos(i), 0) - ordered)).toBeLessThan(scale);
  }
}

const EXACT = 1e-6;

python.describe(`a ResNet-18 of width 4${python.note}`, () => {
  test.each([
    ['torchvision.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['old.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['parameters.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['channels-last.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['expanded.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['one-storage.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['double.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['half.pth', 'torchvision, timm, DINO or DetCo', '', 1e-3],
    ['bfloat16.pth', 'torchvision, timm, DINO or DetCo', '', 1e-2],
    ['moco.pth.tar', 'MoCo', 'module.encoder_q.', EXACT],
    ['moco-old.pth.tar', 'MoCo', 'module.encoder_q.', EXACT],
    ['openselfsup.pth', 'torchvision, timm, DINO or DetCo', '', EXACT],
    ['openselfsup-run.pth', 'OpenSelfSup, mmselfsup or solo-learn', 'backbone.', EXACT],
    ['vissl.torch', 'VISSL', '_feature_blocks.', EXACT],
    ['dino.pth', 'DINO', 'module.backbone.', EXACT],
    ['simsiam.pth.tar', 'SimSiam or PyContrast', 'module.encoder.', EXACT],
    ['detectron2-2.pkl', 'Detectron2', '', EXACT],
    ['detectron2-3.pkl', 'Detectron2', '', EXACT],
    ['detectron2-4.pkl', 'Detectron2', '', EXACT],
    ['detectron2-5.pkl', 'Detectron2', '', EXACT],
  ])('%s has the same tensors, in the form of %s', async (name, form, prefix, tolerance) => {
    const backbone = await loadBackbone(join(folder, name));
    expect(backbone.architecture).toEqual({ arch: 'resnet18', width: 4, stem: 'imagenet' });
    expect(backbone.source).toMatchObject({ form, prefix, encoder: 'query', path: join(folder, name) });
    expectSame(backbone, sums, tolerance);
  });

  test.each([
    ['half.pth', ['F16']],
    ['bfloat16.pth', ['BF16']],
    ['double.pth', ['F64']],
    ['torchvision.pth', []],
  ])('of %s it is said what was converted', async (name, converted) => {
    expect((await loadBackbone(join(folder, name))).source.converted).toEqual(converted);
  });

  test('of a run of MoCo every key is accounted for', async () => {
    const { source } = await loadBackbone(join(folder, 'moco.pth.tar'));
    const byReason = Object.fromEntries(source.leftOut.map(({ reason, keys }) => [reason, keys.length]));
    expect(byReason).toEqual({
      'the momentum encoder': 102, // 100 tensors and the head's two
      'counts of batches, which nothing here reads': 40, // of both encoders
      'the queue of negatives': 2,
      'a classifier, or a head for the pretext task': 2,
      'beside the network': 3, // epoch, arch, optimizer
    });
  });

  test('of the old format, cut short anywhere, is an error', async () => {
    const whole = await readFile(join(folder, 'old.pth'));
    const cut = join(folder, 'cut.pth');
    for (const length of [20, 137, 3000, whole.length >> 1, whole.length - 1]) {
      await writeFile(cut, whole.subarray(0, length));
      await expect(loadBackbone(cut)).rejects.toThrow(/cut\.pth (is not whole|is a pickle that torch\.save did not write|holds)/);
    }
  });

  test.each([
    ['moco.pth.tar', 'module.encoder_k.'],
    ['openselfsup-run.pth', 'encoder_k.0.'],
  ])('of %s the momentum encoder is loaded where it is asked for', async (name, prefix) => {
    const [query, key] = await Promise.all((['query', 'key'] as const).map((encoder) => loadBackbone(join(folder, name), { encoder })));
    expect(key?.source).toMatchObject({ encoder: 'key', prefix });
    const [q, k] = [query, key].map((one) => one?.tensors.get('layer4.1.conv2.weight')?.data ?? new Float32Array());
    expect(k).toEqual(q?.map((value) => value + 1));
    expect(key?.source.leftOut.map(({ reason }) => reason)).toContain('the query encoder');
  });

  test('a file with one encoder has no other', async () => {
    await expect(loadBackbone(join(folder, 'vissl.torch'), { encoder: 'key' })).rejects.toThrow(
      'vissl.torch holds one encoder and no momentum encoder (its names are those of VISSL): leave --encoder key out',
    );
  });

  test('of DINO the teacher is read, which is the momentum encoder', async () => {
    await expect(loadBackbone(join(folder, 'dino.pth'), { encoder: 'key' })).rejects.toThrow(
      'dino.pth holds its momentum encoder as "teacher", which is what is read of it anyway: leave --encoder key out',
    );
  });
});

test.each(['torch-2.15.pth', 'torch-2.15-old-format.pth', 'numpy-2.5.pkl'])('%s is read as it was written', async (name) => {
  const written = JSON.parse(await readFile('fixtures/weights/sums.json', 'utf8')) as Sums;
  const backbone = await loadBackbone(join('fixtures/weights', name));
  expect(backbone.architecture).toEqual({ arch: 'resnet18', width: 1, stem: 'imagenet' });
  expectSame(backbone, written, EXACT);
});

test('the sum of a source is that of its file', async () => {
  const run = 'fixtures/runs/detco-0.1';
  const { source, architecture, tensors } = await loadBackbone(run);
  const state = JSON.parse(await readFile(join(run, 'checkpoints/step-4/state.json'), 'utf8')) as { files: { query: { sha256: string } } };
  expect(source).toMatchObject({ form: 'detco', method: 'detco', step: 4, sha256: state.files.query.sha256 });
  expect(architecture).toEqual({ arch: 'resnet18', width: 2, stem: 'imagenet' });
  expect(tensors.size).toBe(100);
});
