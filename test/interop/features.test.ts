/** torchvision's ResNet-50 and ours: the same weights make the same features of the same images, and come back bit for bit. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect } from '@jest/globals';
import { detco } from '../cli/detco.js';
import { whereAvailable } from '../engine/available.js';
import { wherePythonHas } from '../support/python.js';

const PEERS = 'test/interop/peers.py';
const python = wherePythonHas('torch', 'torchvision', 'numpy');
const SIDE = 64;

type Features = Readonly<Record<string, readonly number[]>>;

let folder = '';
let expected: Features = {};
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-features-'));
  if (python.note === '') expected = await python.run<Features>(PEERS, 'write-features', folder, 'resnet50', String(SIDE));
});
afterAll(() => rm(folder, { recursive: true }));

for (const name of ['wasm', 'torch', 'tensorflow'] as const) {
  const engine = await whereAvailable(name);
  const { test, note } = python.note === '' ? engine : python;
  test(`the engine ${name} agrees with torchvision at every stage${note}`, async () => {
    const args = ['test/support/backbone-features.mjs', join(folder, 'resnet50.pth'), join(folder, 'images.bin'), String(SIDE), name];
    const { stdout } = await promisify(execFile)(process.execPath, args, { maxBuffer: 1 << 26 });
    const { architecture, features } = JSON.parse(stdout) as { architecture: object; features: Features };
    expect(architecture).toEqual({ arch: 'resnet50', width: 64, stem: 'imagenet' });
    for (const [stage, values] of Object.entries(expected)) {
      const ours = features[stage] ?? [];
      expect(ours).toHaveLength(values.length);
      const length = Math.hypot(...values);
      const distance = Math.hypot(...values.map((value, i) => value - (ours[i] ?? Number.NaN)));
      expect({ stage, close: distance / length < 1e-4, distance: distance / length }).toMatchObject({ stage, close: true });
    }
  });
}

python.test(`imported and exported, torchvision loads it strictly, bit for bit${python.note}`, async () => {
  const [source, weights, out] = ['resnet50.pth', 'imported', 'exported.pth'].map((name) => join(folder, name)) as [string, string, string];
  expect(await detco(['import', source, '--out', weights])).toMatchObject({ code: 0 });
  const { code, stderr } = await detco(['export', '--checkpoint', weights, '--out', out]);
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining('318 keys written') });
  expect(await python.run(PEERS, 'strict', out, 'resnet50')).toEqual({ missing: ['fc.weight', 'fc.bias'], unexpected: [] });
  expect(await python.run(PEERS, 'same', source, out)).toBe(true);
});
