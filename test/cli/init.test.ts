/** `detco train --init`: a backbone that starts from weights. */
import { cp, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { readSafetensors } from '#dist/common/safetensors.js';
import { exportBackbone, loadBackbone } from '#dist/interop/index.js';
import { detco } from './detco.js';

/** ResNet-18 of width 2. */
const WEIGHTS = 'fixtures/runs/detco-0.1';
const DATA = ['--shards', 'fixtures/shards/train-000.tar', '--engine', 'wasm', '--workers', '1'];

let folder = '';
let file = '';
let run = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-init-'));
  file = join(folder, 'r18.pth');
  await exportBackbone(await loadBackbone(WEIGHTS), file, 'torchvision');
  const config = join(folder, 'narrow.yaml');
  await writeFile(config, 'method: { width: 2, dim: 8, queueSize: 32 }');
  run = join(folder, 'run');
  const args = ['--preset', 'tiny-moco', '--config', config, '--batch', '16', '--steps', '1', '--init', file, '--out', run];
  const { code, stderr } = await detco(['train', ...DATA, ...args]);
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`the backbone starts from ${file}, all else at random`),
  });
});
afterAll(() => rm(folder, { recursive: true }));

test('both encoders of a momentum pair start from them', async () => {
  const { tensors } = await loadBackbone(WEIGHTS);
  for (const part of ['query', 'key']) {
    const started = await readSafetensors(join(run, 'checkpoints/step-0', `${part}.safetensors`));
    for (const [name, tensor] of tensors) expect({ name, tensor: started.get(name) }).toEqual({ name, tensor });
    expect(started.has('head.fc1.weight')).toBe(true);
  }
});

test('config.json has the path and the sum', async () => {
  const config = JSON.parse(await readFile(join(run, 'config.json'), 'utf8')) as object;
  const { source } = await loadBackbone(file);
  expect(config).toMatchObject({ init: file, initWeights: { path: file, sha256: source.sha256 } });
});

test('a resume knows them by their bytes: it refuses others under the same name, and takes the same from another place', async () => {
  const resumed = join(folder, 'known');
  await cp(run, resumed, { recursive: true, verbatimSymlinks: true });
  const moved = join(folder, 'moved.pth');
  await rename(file, moved);
  await exportBackbone(await loadBackbone(WEIGHTS, { encoder: 'key' }), file, 'torchvision');
  for (const other of [file, WEIGHTS])
    expect(await detco(['train', '--resume', resumed, '--steps', '2', '--init', other])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`init ${other} is not what the run began with: its SHA-256 is `),
    });
  expect(await detco(['train', '--resume', resumed, '--steps', '2', '--init', moved])).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`run ${resumed} continues after step 1`),
  });
  expect(JSON.parse(await readFile(join(resumed, 'config.json'), 'utf8'))).toMatchObject({ init: file });
  await rename(moved, file);
});

test('a resume keeps them where they are gone, by an absolute path or a relative one, and refuses another', async () => {
  const other = await detco(['train', '--resume', run, '--steps', '2', '--init', 'nowhere.pth']);
  const began = `${JSON.stringify(resolve('nowhere.pth'))} differs from ${JSON.stringify(file)}, with which ${run} began`;
  expect(other).toMatchObject({ code: 2, stderr: expect.stringContaining(began) });

  const copy = join(folder, 'resumed');
  await cp(run, copy, { recursive: true, verbatimSymlinks: true });
  // Its checkpoint has what they have become.
  await rm(file);
  const { code, stderr } = await detco(['train', '--resume', copy, '--steps', '2', '--init', 'r18.pth'], {
    cwd: folder,
    bin: resolve('bin/detco.cjs'),
  });
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining(`run ${copy} continues after step 1`) });
  expect(JSON.parse(await readFile(join(copy, 'config.json'), 'utf8'))).toMatchObject({ init: file, initWeights: { path: file } });
});

test('a run that begins once more takes the same weights or none', async () => {
  const copy = join(folder, 'again');
  await cp(run, copy, { recursive: true, verbatimSymlinks: true });
  for (const made of ['checkpoints', 'last', 'metrics.jsonl']) await rm(join(copy, made), { recursive: true });
  await exportBackbone(await loadBackbone(WEIGHTS, { encoder: 'key' }), file, 'torchvision');
  const { code, stderr } = await detco(['train', '--resume', copy]);
  expect({ code, stderr }).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/is not what the run began with: its SHA-256 is .* and was .*bring it back/),
  });
});

test('a run that begins once more takes them from where they lie now, and keeps that place', async () => {
  const copy = join(folder, 'moved');
  await cp(run, copy, { recursive: true, verbatimSymlinks: true });
  for (const made of ['checkpoints', 'last', 'metrics.jsonl']) await rm(join(copy, made), { recursive: true });
  await rm(file, { force: true });
  const gone = await detco(['train', '--resume', copy]);
  expect(gone).toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/"\S+r18\.pth" is not there: .*bring it back, or give init where it lies now/),
  });
  const moved = join(folder, 'elsewhere.pth');
  await exportBackbone(await loadBackbone(WEIGHTS), moved, 'torchvision');
  const { code, stderr } = await detco(['train', '--resume', copy, '--init', moved]);
  expect({ code, stderr }).toMatchObject({
    code: 0,
    stderr: expect.stringContaining(`the backbone starts from ${moved}, all else at random`),
  });
  expect(JSON.parse(await readFile(join(copy, 'config.json'), 'utf8'))).toMatchObject({ init: moved, initWeights: { path: moved } });
});

test.each([
  [['--preset', 'tiny', '--init', WEIGHTS], 'the weights are of width 2, and the run has width 16; set method.width as they have it'],
  [['--preset', 'moco-v2-r50', '--init', WEIGHTS], 'the weights are of arch resnet18, width 2, and the run has arch resnet50, width 64'],
  [['--preset', 'tiny', '--init', 'nowhere.pth'], 'nowhere.pth" is not there: expected a run\'s folder'],
])('%j is refused before anything is made', async (args, message) => {
  const out = join(folder, 'refused');
  const { code, stderr } = await detco(['train', ...DATA, ...args, '--out', out]);
  expect({ code, stderr }).toMatchObject({ code: 2, stderr: expect.stringContaining(message) });
  await expect(readFile(join(out, 'config.json'))).rejects.toThrow('ENOENT');
});
