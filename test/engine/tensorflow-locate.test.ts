/** Telling what a Python package or a wheel of TensorFlow is, and finding one. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { readTensorFlow } from '#dist/engine/tensorflow/libtensorflow.js';
import { locateTensorFlow, type TensorFlowPlace } from '#dist/engine/tensorflow/locate.js';
import { checkWheel, unpackWheel } from '#dist/engine/tensorflow/wheel.js';
import { writeTree } from '../support/tree.js';
import { hasTools } from './available.js';
import { distribution, TENSORFLOW_PARTS } from './libtensorflow.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-tensorflow-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tree = (name: string, files: Readonly<Record<string, string>>): Promise<string> => writeTree(join(folder, name), files);

const without = (...names: string[]): Record<string, string> =>
  Object.fromEntries(Object.entries(TENSORFLOW_PARTS).filter(([name]) => !names.some((part) => name.includes(part))));

describe('readTensorFlow', () => {
  const header = (name: string): Record<string, string> => ({
    [`tensorflow/include/tensorflow/core/public/${name}`]:
      '#define TF_MAJOR_VERSION 2\n#define TF_MINOR_VERSION 16\n#define TF_PATCH_VERSION 2\n',
  });

  test.each<[string, Record<string, string>, string]>([
    ['tensorflow_cpu', distribution('2.21.0'), '2.21.0'],
    ['tensorflow', distribution('2.18.0rc1', 'tensorflow'), '2.18.0rc1'],
    ['a companion beside it', { ...distribution('2.21.0'), ...distribution('0.37.1', 'tensorflow_io_gcs_filesystem') }, '2.21.0'],
    ['the header', header('version.h'), '2.16.2'],
    [
      'the header, where pip tells two',
      { ...distribution('2.16.2'), ...distribution('2.9.1', 'tensorflow'), ...header('version.h') },
      '2.16.2',
    ],
  ])('reads the version of %s', async (what, files, version) => {
    const site = await tree(`version of ${what}`, { ...TENSORFLOW_PARTS, ...files });
    const root = join(site, 'tensorflow');
    expect(readTensorFlow(root)).toEqual({ root, version, includeFolder: join(root, 'include'), libraryBytes: [2, 9] });
  });

  test('tells a build for CUDA and which', async () => {
    const info = "build_info = collections.OrderedDict([('is_cuda_build', True), ('cuda_version', '12.5.1'), ('cudnn_version', '9')])";
    const files = { ...TENSORFLOW_PARTS, ...distribution('2.21.0', 'tensorflow'), 'tensorflow/python/platform/build_info.py': info };
    expect(readTensorFlow(join(await tree('cuda', files), 'tensorflow'))).toMatchObject({ version: '2.21.0', cuda: '12.5.1' });
  });

  test.each<[string, Record<string, string>, string]>([
    ['nothing', {}, 'no such folder'],
    ['an older version', { ...TENSORFLOW_PARTS, ...distribution('2.9.1') }, 'TensorFlow 2.9.1 is too old: expected 2.12 or newer'],
    ['no library', { ...without('_cc'), ...distribution('2.21.0') }, 'TensorFlow 2.21.0 without libtensorflow_cc.so.2'],
    ['no headers', { ...without('include'), ...distribution('2.21.0') }, 'TensorFlow 2.21.0 without its headers (no include/'],
    ['no version', TENSORFLOW_PARTS, 'tells their version'],
  ])('says what is wrong with %s', async (what, files, problem) => {
    const site = await tree(`wrong: ${what}`, files);
    expect(readTensorFlow(join(site, 'tensorflow'))).toEqual({ problem: expect.stringContaining(problem) });
  });
});

const withPython = hasTools('python3') ? test : test.skip;

describe('locateTensorFlow', () => {
  withPython('asks python3 for its package without importing it, and reports what it looked at (needs python3)', async () => {
    const site = await tree('site', { ...TENSORFLOW_PARTS, ...distribution('2.21.0') });
    const places: TensorFlowPlace[] = [];
    const env = { ...process.env, PYTHONPATH: site };
    const found = await locateTensorFlow({ env, onPlace: (place) => places.push(place) });
    const root = join(site, 'tensorflow');
    expect(found).toMatchObject({ root, version: '2.21.0' });
    expect(places).toMatchObject([{ place: 'python3', folder: root, found: `TensorFlow 2.21.0, CPU, libraries in ${root}` }]);
  });

  withPython('passes by a Python whose TensorFlow is too old, and says so (needs python3)', async () => {
    const site = await tree('old site', { ...TENSORFLOW_PARTS, ...distribution('2.9.1') });
    const places: TensorFlowPlace[] = [];
    // Every Python here sees it.
    expect(await locateTensorFlow({ env: { ...process.env, PYTHONPATH: site }, onPlace: (place) => places.push(place) })).toBeUndefined();
    expect(places[0]).toMatchObject({ place: 'python3', found: 'TensorFlow 2.9.1 is too old: expected 2.12 or newer' });
  });

  test.each<[string, string, string]>([
    ['is not there', '', 'no '],
    ['does not run', '#!/bin/sh\necho broken >&2\nexit 3\n', 'it does not run: broken'],
    ['has no TensorFlow', '#!/bin/sh\necho\n', 'no package tensorflow'],
  ])('does not look elsewhere when the Python that was named %s', async (what, script, problem) => {
    const python = join(await tree(`python ${what}`, {}), 'python');
    if (script !== '') await writeFile(python, script);
    if (script !== '') await chmod(python, 0o755);
    await expect(locateTensorFlow({ python })).rejects.toThrow(`--python ${JSON.stringify(python)}: ${problem}`);
    await expect(locateTensorFlow({ python })).rejects.toThrow(
      `'${python}' -m pip install --upgrade tensorflow-cpu, or tensorflow[and-cuda] for NVIDIA GPUs`,
    );
  });
});

describe('unpackWheel', () => {
  /** With Python's own zip writer. */
  async function wheel(name: string, files: Readonly<Record<string, string>>): Promise<string> {
    const source = await tree(`source of ${name}`, files);
    const file = join(folder, `${name}.whl`);
    execFileSync('python3', [
      '-m',
      'zipfile',
      '-c',
      file,
      ...new Set(Object.keys(files).map((path) => join(source, path.split('/')[0] ?? ''))),
    ]);
    return file;
  }
  const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
  const tag = `cp311-cp311-manylinux_2_27_${machine}`;

  withPython('takes the libraries, the headers and what tells of them (needs python3)', async () => {
    const files = { ...TENSORFLOW_PARTS, ...distribution('2.21.0', 'tensorflow_cpu', tag) };
    const into = join(folder, 'unpacked');
    const root = join(into, 'tensorflow');
    expect(await unpackWheel(await wheel('whole', files), into, process.env)).toMatchObject({
      root,
      version: '2.21.0',
      libraryBytes: [2, 9],
    });
    expect(await readFile(join(root, 'libtensorflow_cc.so.2'), 'utf8')).toBe('cc');
    expect(existsSync(join(root, '__init__.py'))).toBe(false);
  });

  const foreign = { ...TENSORFLOW_PARTS, ...distribution('2.21.0', 'tensorflow_cpu', 'cp311-cp311-win_amd64') };
  const other = { 'numpy/__init__.py': '', ...distribution('2.1.0', 'numpy', tag) };
  const old = { ...TENSORFLOW_PARTS, ...distribution('2.11.1', 'tensorflow_cpu', tag) };
  withPython.each<[string, Record<string, string> | string | undefined, string]>([
    ['a file that is not there', undefined, 'no such file'],
    ['a file that is no zip', 'no zip', 'it cannot be read as a wheel (File is not a zip file)'],
    ['a zip that is no wheel', { 'a/b.txt': '' }, 'it is no wheel, for it has no .dist-info/WHEEL'],
    ['one for another platform', foreign, `it is for win_amd64, this machine is linux_${machine}`],
    [
      'one of another package',
      other,
      'numpy-2.1.0 has no tensorflow/libtensorflow_cc.so.2, which wheels of TensorFlow 2.12 and newer have',
    ],
    ['one that is too old', old, 'TensorFlow 2.11.1 is too old: expected 2.12 or newer'],
  ])('refuses %s and quotes its name (needs python3)', async (what, content, problem) => {
    const file = typeof content === 'object' ? await wheel(what, content) : join(folder, `${what}.whl`);
    if (typeof content === 'string') await writeFile(file, content);
    const into = join(folder, `of ${what}`);
    const refused = checkWheel(file, process.env).then(() => unpackWheel(file, into, process.env));
    await expect(refused).rejects.toThrow(`--wheel ${JSON.stringify(file)}: ${problem}; expected a wheel of tensorflow or tensorflow-cpu`);
  });

  withPython('refuses one that was cut short (needs python3)', async () => {
    const file = await wheel('cut', { ...TENSORFLOW_PARTS, ...distribution('2.21.0', 'tensorflow_cpu', tag) });
    const bytes = await readFile(file);
    await writeFile(file, bytes.subarray(0, bytes.length / 2));
    await expect(unpackWheel(file, join(folder, 'of cut'), process.env)).rejects.toThrow('it cannot be read as a wheel');
  });
});
