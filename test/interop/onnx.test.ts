/** The graph of ONNX: ONNX Runtime reads it, and makes of images what detco's own backbone makes of them. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Random } from '#dist/common/random.js';
import { exportBackbone, type LoadedBackbone, usageLines } from '#dist/interop/index.js';
import { resNet, type ResNetOptions } from '#dist/model/network/architecture.js';
import { size } from '#dist/model/network/parameters.js';
import { detco } from '../cli/detco.js';

const SIDE = 40; // no power of two: odd sides come up at the last stages
const COUNT = 3;

interface OnnxFeatures {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly dims: readonly number[];
  readonly values: readonly number[];
}

let folder = '';
let images = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-onnx-'));
  images = join(folder, 'images.bin');
  const random = new Random(1);
  const pixels = Float32Array.from({ length: COUNT * SIDE * SIDE * 3 }, () => random.between(-2, 2));
  await writeFile(images, new Uint8Array(pixels.buffer));
});
afterAll(() => rm(folder, { recursive: true }));

/** With values in every tensor, running statistics too, that differ from where a network starts. */
function randomBackbone(architecture: ResNetOptions): LoadedBackbone {
  const { parameters, buffers } = resNet(architecture);
  const random = new Random(2);
  const tensors = [...parameters, ...buffers].map(({ name, shape }) => {
    const fan = shape.length === 4 ? size(shape.slice(0, 3)) : 1;
    const [low, high] = shape.length === 4 ? [-2 / Math.sqrt(fan), 2 / Math.sqrt(fan)] : [0.5, 1.5];
    return [name, { shape, data: Float32Array.from({ length: size(shape) }, () => random.between(low, high)) }] as const;
  });
  const source = { path: 'random', sha256: '', form: 'detco', prefix: '', encoder: 'query', converted: [], leftOut: [] } as const;
  return { architecture, tensors: new Map(tensors), source, warnings: [] };
}

async function json<T>(script: string, ...args: readonly string[]): Promise<T> {
  const { stdout } = await promisify(execFile)(process.execPath, [join('test/support', script), ...args], { maxBuffer: 1 << 26 });
  return JSON.parse(stdout) as T;
}

test.each([
  { arch: 'resnet18', width: 4, stem: 'imagenet' },
  { arch: 'resnet34', width: 2, stem: 'small' },
  { arch: 'resnet50', width: 4, stem: 'small' },
  { arch: 'resnet101', width: 2, stem: 'imagenet' },
] as const)('ONNX Runtime has the features of $arch of width $width with the stem $stem', async (architecture) => {
  const backbone = randomBackbone(architecture);
  const [model, weights] = [join(folder, `${architecture.arch}.onnx`), join(folder, `${architecture.arch}.safetensors`)];
  const report = await exportBackbone(backbone, model, 'onnx');
  expect(report).toMatchObject({ format: 'onnx', keys: backbone.tensors.size });
  await exportBackbone(backbone, weights, 'safetensors');

  const found = await json<OnnxFeatures>('onnx-features.mjs', model, images, String(SIDE));
  const own = await json<{ features: { res5: readonly number[] } }>('backbone-features.mjs', weights, images, String(SIDE), 'wasm');
  const { channels } = resNet(architecture);
  expect(found).toMatchObject({ inputs: ['images'], outputs: ['features'], dims: [COUNT, channels.res5] });
  const expected = own.features.res5;
  expect(expected).toHaveLength(found.values.length);
  const distance = Math.hypot(...expected.map((value, i) => value - (found.values[i] ?? Number.NaN)));
  expect(Math.hypot(...expected)).toBeGreaterThan(0.1);
  expect(distance / Math.hypot(...expected)).toBeLessThan(1e-5);
});

test('the command writes one, says what it left out and how to run it, and refuses another ending', async () => {
  const out = join(folder, 'run.onnx');
  const done = await detco(['export', '--checkpoint', 'fixtures/runs/detco-0.1', '--format', 'onnx', '--out', out]);
  expect(done.code).toBe(0);
  expect(done.stderr).toContain('counts of batches, which ONNX has no use for');
  for (const line of usageLines('onnx', out, { arch: 'resnet18', width: 2, stem: 'imagenet' })) expect(done.stderr).toContain(line);
  expect(await json<OnnxFeatures>('onnx-features.mjs', out, images, String(SIDE))).toMatchObject({ dims: [COUNT, 16] });

  const refused = await detco(['export', '--checkpoint', 'fixtures/runs/detco-0.1', '--format', 'onnx', '--out', join(folder, 'run.pb')]);
  expect(refused.code).toBe(2);
  expect(refused.stderr).toContain('expected a name that ends in .onnx for the format onnx');
});
