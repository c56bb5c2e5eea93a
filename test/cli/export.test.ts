/** `detco export` and `detco import`. */
import { cp, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { detco } from './detco.js';

const RUN = 'fixtures/runs/detco-0.1';

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-export-cli-'));
});
afterAll(() => rm(folder, { recursive: true }));

test('export says what it wrote, what it left out and what to write on the other side', async () => {
  const out = join(folder, 'new/r18.pkl');
  const { code, stdout, stderr } = await detco(['export', '--checkpoint', RUN, '--format', 'detectron2', '--out', out]);
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' });
  expect(stderr).toContain(`resnet18 of width 2, the query encoder of ${RUN}/checkpoints/step-4/query.safetensors after step 4\n`);
  expect(stderr).toContain(
    'left out: 32 keys (head.global.res2.fc1.weight, head.global.res2.fc1.bias, head.global.res2.fc2.weight, ...): heads',
  );
  expect(stderr).toContain('left out: 3 keys (key, optimizer, queues): other parts of the checkpoint\n');
  expect(stderr).toContain(`100 keys written to ${out} (detectron2, 63.0 kB)\n`);
  expect(stderr).toContain(`MODEL:\n  WEIGHTS: "${out}"\n  PIXEL_MEAN: [123.675, 116.280, 103.530]\n`);
  expect(await readdir(join(folder, 'new'))).toEqual(['r18.pkl']);
});

test('what is exported is imported, and what is imported is exported', async () => {
  const [moco, weights, again] = ['r18.pth.tar', 'weights', 'again.safetensors'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const checkpoint = join(RUN, 'checkpoints/step-4');
  const written = await detco(['export', '--checkpoint', checkpoint, '--encoder', 'key', '--format', 'moco', '--out', moco, '--json']);
  expect(JSON.parse(written.stdout)).toMatchObject({
    path: moco,
    format: 'moco',
    keys: 120,
    architecture: { arch: 'resnet18', width: 2, stem: 'imagenet' },
    source: { encoder: 'key', method: 'detco', step: 4 },
  });

  const read = await detco(['import', moco, '--out', weights, '--json']);
  expect(read.stderr).toContain(`resnet18 of width 2 from ${moco}, by the names of MoCo; stripped "module.encoder_q."\n`);
  expect(read.stderr).toContain(
    `100 tensors loaded into ${weights}/backbone.safetensors; npx detco export --checkpoint ${weights} writes them`,
  );
  expect(JSON.parse(read.stdout)).toMatchObject({ out: weights, loaded: 100, source: { form: 'MoCo', path: moco } });
  expect((await readdir(weights)).toSorted()).toEqual(['backbone.json', 'backbone.safetensors']);

  const exported = await detco(['export', '--checkpoint', weights, '--out', again, '--json']);
  expect(exported.stderr).not.toContain('left out');
  expect(JSON.parse(exported.stdout)).toMatchObject({ path: again, format: 'torchvision', keys: 120 });
});

test.each([
  [
    ['export', '--checkpoint', RUN, '--out', 'r18.pkl'],
    '--out "r18.pkl": expected a name that ends in .safetensors or .pth or .pt or .bin for the format torchvision, or --format detectron2',
  ],
  [
    ['export', '--checkpoint', RUN, '--format', 'tflite', '--out', 'r18.tflite'],
    '--format "tflite": expected one of torchvision, timm, safetensors, moco, detectron2, onnx',
  ],
  [['export', '--checkpoint', RUN, '--out', 'package.json/r18.pth'], '--out "package.json/r18.pth": expected a folder, and'],
  [
    ['export', '--checkpoint', 'nowhere', '--out', '/tmp/r18.pth'],
    '"nowhere" is not there: expected a run\'s folder, one of its checkpoints',
  ],
  [
    ['export', '--checkpoint', 'fixtures/runs/detco-0.2', '--out', '/tmp/r18.pth'],
    'a folder of detco import, or a file of weights; did you mean "fixtures/runs/detco-0.1"?',
  ],
  [
    ['export', '--checkpoint', 'docs', '--out', '/tmp/r18.pth'],
    '"docs" holds no weights: expected a run\'s folder, one of its checkpoints',
  ],
  [['import', 'docs', '--out', '/tmp/weights'], '"docs" holds no weights'],
  [['import', 'nowhere.pth', '--out', '/tmp/weights'], '"nowhere.pth" is not there'],
  [['import', 'nowhere.pth', '--out', 'package.json'], '--out "package.json": expected a folder, and'],
  [['import', 'fixtures/weights/torch-2.15.pth', '--out', RUN], `--out "${RUN}" holds a run or a checkpoint: expected a folder of its own`],
])('%j ends with 2, and says what was expected', async (args, message) => {
  expect(await detco(args)).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(message) });
});

describe('a folder of a checkpoint without state.json', () => {
  test('is passed over for the one before, and named', async () => {
    const run = join(folder, 'cut-short');
    await cp(RUN, run, { recursive: true });
    await cp(join(run, 'checkpoints/step-4'), join(run, 'checkpoints/step-8'), { recursive: true });
    await rm(join(run, 'checkpoints/step-8/state.json'));
    const warning = `warning: ${run}/checkpoints/step-8 has no state.json and was passed over: it is no complete checkpoint\n`;
    const exported = await detco(['export', '--checkpoint', run, '--out', join(folder, 'cut-short.pth')]);
    expect(exported).toMatchObject({ code: 0, stderr: expect.stringContaining(warning) });
    expect(exported.stderr).toContain(`${run}/checkpoints/step-4/query.safetensors after step 4`);
    const imported = await detco(['import', run, '--out', join(folder, 'cut-short-weights')]);
    expect(imported).toMatchObject({ code: 0, stderr: expect.stringContaining(warning) });
    const named = await detco(['export', '--checkpoint', join(run, 'checkpoints/step-4'), '--out', join(folder, 'named.pth')]);
    expect(named.stderr).not.toContain('passed over');
  });

  test('is named where it is the only one', async () => {
    const run = join(folder, 'no-state');
    await cp(join(RUN, 'checkpoints/step-4'), join(run, 'checkpoints/step-4'), { recursive: true });
    await rm(join(run, 'checkpoints/step-4/state.json'));
    expect(await detco(['export', '--checkpoint', run, '--out', join(folder, 'none.pth')])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        `"${run}" holds no weights (${run}/checkpoints/step-4 has no state.json: it is no complete checkpoint)`,
      ),
    });
  });
});

describe('a place among weights that are read is refused, and they stay', () => {
  /** The contents of every file below a folder. */
  const contents = async (path: string): Promise<Record<string, string>> => {
    const files = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const read = files.map(async ({ parentPath, name }) => {
      const file = join(parentPath, name);
      return [relative(path, file), await readFile(file, 'base64')] as const;
    });
    return Object.fromEntries(await Promise.all(read));
  };
  let kept = '';
  let before = {};
  beforeAll(async () => {
    kept = join(folder, 'kept');
    await cp(RUN, join(kept, 'run'), { recursive: true });
    await rm(join(kept, 'run/last'), { recursive: true, force: true });
    await symlink('checkpoints/step-4', join(kept, 'run/last'));
    await detco(['import', 'fixtures/weights/torch-2.15.pth', '--out', join(kept, 'imported')]);
    await detco(['export', '--checkpoint', RUN, '--out', join(kept, 'weights.pth')]);
    await cp(join(kept, 'imported/backbone.safetensors'), join(kept, 'downloaded/backbone.safetensors'));
    await symlink('weights.pth', join(kept, 'link.pth'));
    before = await contents(kept);
  });

  const OUTSIDE = 'expected a file outside of it; choose another place';
  const ITSELF = 'this is what is exported; choose another file';
  test.each([
    ['run', 'run/last/query.safetensors', OUTSIDE],
    ['run', 'run/checkpoints/step-4/r18.pth', OUTSIDE],
    ['weights.pth', 'run/r18.pth', OUTSIDE],
    ['weights.pth', 'run/exports/of/r18.pth', OUTSIDE],
    ['imported', 'imported/backbone.safetensors', OUTSIDE],
    ['run/last/query.safetensors', 'run/checkpoints/step-4/query.safetensors', ITSELF],
    ['weights.pth', 'weights.pth', ITSELF],
    ['weights.pth', 'link.pth', ITSELF],
  ])('export of %s to %s', async (source, out, message) => {
    const path = join(kept, out);
    const refused = await detco(['export', '--checkpoint', join(kept, source), '--out', path]);
    expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringContaining(`--out "${path}": `) });
    expect(refused.stderr).toContain(message);
    expect(await contents(kept)).toEqual(before);
  });

  test('import of a file into its own place', async () => {
    const [file, out] = [join(kept, 'downloaded/backbone.safetensors'), join(kept, 'downloaded')];
    expect(await detco(['import', file, '--out', out])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`--out "${out}" is where "${file}" lies, which would be replaced: choose another folder`),
    });
    expect(await contents(kept)).toEqual(before);
  });
});

test('exports of several processes to one file at the same time all succeed, and leave one', async () => {
  const out = join(folder, 'together/r18.pth');
  const outcomes = await Promise.all(Array.from({ length: 4 }, () => detco(['export', '--checkpoint', RUN, '--out', out])));
  for (const outcome of outcomes) expect(outcome).toMatchObject({ code: 0 });
  expect(await readdir(join(folder, 'together'))).toEqual(['r18.pth']);
});

test('a file that cannot be used ends with 1, and leaves nothing', async () => {
  const [file, out] = ['page.pth', 'nothing'].map((name) => join(folder, name)) as [string, string];
  await writeFile(file, '<!DOCTYPE html>');
  const { code, stderr } = await detco(['import', file, '--out', out]);
  expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`${file} is no file of weights: it begins with`) });
  expect(await readdir(folder)).not.toContain('nothing');
});
