/** Telling what a folder of LibTorch is, and finding one. */
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { findCuda } from '#dist/engine/torch/cuda.js';
import { readLibTorch, type LibTorch } from '#dist/engine/torch/libtorch.js';
import { locateLibTorch, type TorchPlace } from '#dist/engine/torch/locate.js';
import { writeTree } from '../support/tree.js';
import { LIBTORCH_PARTS, NEW_ABI, OLD_ABI } from './libtorch.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-torch-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tree = (name: string, files: Readonly<Record<string, string>>): Promise<string> => writeTree(join(folder, name), files);

const system = readLibTorch('/usr');

describe('readLibTorch', () => {
  test.each<[string, Record<string, string>, string]>([
    ['a Python package', { 'version.py': "from typing import Optional\n__version__ = '2.11.0+cu130'\n" }, '2.11.0+cu130'],
    ['an unpacked zip', { 'build-version': '2.1.0+cpu\n' }, '2.1.0+cpu'],
    ['the header of LibTorch 2.9', { 'include/torch/headeronly/version.h': '#define TORCH_VERSION \\\n  "2.9.1"\n' }, '2.9.1'],
    ['the header', { 'include/torch/csrc/api/include/torch/version.h': '#define TORCH_VERSION \\\n  "1.13.0"\n' }, '1.13.0'],
    ["the library's number", { 'lib/libtorch.so.1.13': '', 'lib/libtorch.so.1.13.0': '' }, '1.13.0'],
  ])('reads the version of %s', async (what, files, version) => {
    const root = await tree(`version of ${what}`, { ...LIBTORCH_PARTS, ...files });
    expect(readLibTorch(root)).toMatchObject({ root, version, libraryFolder: join(root, 'lib'), cxx11Abi: true });
  });

  test('tells the two ABIs by the symbols of libc10.so, and where it has none by the CMake file', async () => {
    const version = { 'build-version': '2.1.0+cpu' };
    const old = await tree('old ABI', { ...LIBTORCH_PARTS, ...version, 'lib/libc10.so': `\0${OLD_ABI}\0` });
    const cmake = await tree('ABI of CMake', {
      ...LIBTORCH_PARTS,
      ...version,
      'lib/libc10.so': '',
      'share/cmake/Torch/TorchConfig.cmake': 'set(TORCH_CXX_FLAGS "-D_GLIBCXX_USE_CXX11_ABI=0")',
    });
    expect([readLibTorch(old), readLibTorch(cmake)]).toMatchObject([{ cxx11Abi: false }, { cxx11Abi: false }]);
  });

  test.each<[string, Record<string, string>]>([
    ['1.8.1', { 'version.py': "__version__ = '1.8.1'\n" }],
    ['1.12.1+cpu', { 'build-version': '1.12.1+cpu\n' }],
  ])('refuses %s, whatever else is there, and says what to install', async (version, files) => {
    for (const [name, parts] of [
      ['whole', LIBTORCH_PARTS],
      ['bare', {}],
    ] as const) {
      const root = await tree(`too old ${version} ${name}`, { ...parts, ...files });
      expect(readLibTorch(root)).toEqual({
        problem: `LibTorch ${version} is too old: expected 1.13 or newer; install a newer one, for example: apt-get install --no-install-recommends libtorch-dev libopenblas0-pthread`,
      });
    }
  });

  test('takes the folder that a zip was unpacked in, site-packages, and the folder of the libraries', async () => {
    const root = await tree('unpacked/libtorch', { ...LIBTORCH_PARTS, 'build-version': '2.1.0+cpu' });
    for (const given of [dirname(root), join(root, 'lib'), root]) expect(readLibTorch(given)).toMatchObject({ root });
  });

  test('finds the libgomp that LibTorch brings', async () => {
    const root = await tree('own OpenMP', { ...LIBTORCH_PARTS, 'build-version': '2.1.0+cpu', 'lib/libgomp-a34b3233.so.1': '' });
    expect(readLibTorch(root)).toMatchObject({ openmp: join(root, 'lib/libgomp-a34b3233.so.1') });
  });

  test.each<[string, Record<string, string>, string]>([
    ['nothing', {}, 'no libtorch_cpu.so in it'],
    ['no headers', { 'lib/libtorch_cpu.so': '', 'build-version': '2.1.0' }, 'LibTorch 2.1.0 without its headers'],
    ['no libc10', { 'lib/libtorch_cpu.so': '', 'include/ATen/ATen.h': '', 'build-version': '2.1.0' }, 'LibTorch 2.1.0 without libc10.so'],
    ['no version', LIBTORCH_PARTS, 'tells their version'],
  ])('says what a folder with %s lacks', async (name, files, message) => {
    expect(readLibTorch(await tree(`lacking ${name}`, files))).toEqual({ problem: expect.stringContaining(message) });
  });

  test('sees through links into the system, as those of Debian’s Python package', async () => {
    const usr = await tree('usr', {
      'lib/real/libtorch_cpu.so.1.13.0': '',
      'lib/real/libtorch.so': '',
      'lib/real/libc10.so': NEW_ABI,
      'include/ATen/ATen.h': '',
      'include/torch/csrc/api/include/torch/version.h': '#define TORCH_VERSION "1.13.0"',
    });
    const python = await tree('usr/lib/python3/torch', { 'version.py': "__version__ = '1.13.0a0'", 'lib/x': '' });
    await symlink(join(usr, 'lib/real/libtorch_cpu.so.1.13.0'), join(python, 'lib/libtorch_cpu.so'));
    expect(readLibTorch(python)).toMatchObject({ root: usr, version: '1.13.0', libraryFolder: join(usr, 'lib/real') });
  });

  const onSystem = 'problem' in system ? test.skip : test;
  onSystem(`reads the system's ('problem' in it: ${'problem' in system ? system.problem : 'none'})`, () => {
    const libtorch = system as LibTorch;
    expect(libtorch.root).toBe('/usr');
    expect(libtorch.version).toMatch(/^\d+\.\d+/);
    // Debian never built it with the old one.
    expect(libtorch.cxx11Abi).toBe(true);
    expect(libtorch.includeFolders.every((include) => existsSync(include))).toBe(true);
  });
});

describe('findCuda', () => {
  const headers = ['cuda.h', 'cuda_runtime_api.h', 'crt/host_defines.h', 'cublas_v2.h', 'cusparse.h', 'cusolverDn.h', 'nvrtc.h'];

  const include = (prefix: string, names: string[]): Record<string, string> =>
    Object.fromEntries(names.map((name) => [`${prefix}/include/${name}`, '']));

  test('takes the wheels beside torch before CUDA_HOME, which is asked for what they lack', async () => {
    const site = await tree('site', {
      ...include('nvidia/cuda_runtime', headers.slice(0, 3)),
      ...include('nvidia/cublas', ['cublas_v2.h']),
      'nvidia/cuda_runtime/lib/libcudart.so.12': '',
      'torch/lib/libtorch_cuda.so': '',
    });
    const root = join(site, 'torch');
    const wheels = ['cublas', 'cuda_runtime'].map((name) => join(site, 'nvidia', name, 'include'));
    const home = await tree('cuda', include('.', headers));
    const found = findCuda(root, join(root, 'lib'), { CUDA_HOME: home });
    expect([...found.includeFolders].toSorted()).toEqual([...wheels, join(home, 'include')].toSorted());
    expect(found.includeFolders.at(-1)).toBe(join(home, 'include'));
    expect(found).toMatchObject({ missing: [], runtime: join(site, 'nvidia/cuda_runtime/lib/libcudart.so.12') });
  });

  test('takes from triton what the wheels of CUDA 13 lack, after CUDA_HOME', async () => {
    const site = await tree('site 13', {
      ...include(
        'nvidia/cu13',
        headers.filter((name) => !name.startsWith('crt/')),
      ),
      ...include('triton/backends/nvidia', ['cuda.h', 'crt/host_defines.h']),
      'torch/lib/libtorch_cuda.so': '',
    });
    const root = join(site, 'torch');
    const folders = (env: NodeJS.ProcessEnv): readonly string[] => findCuda(root, join(root, 'lib'), env).includeFolders;
    expect(folders({})).toEqual([join(site, 'nvidia/cu13/include'), join(site, 'triton/backends/nvidia/include')]);
    const home = await tree('cuda 13', include('.', headers));
    expect(folders({ CUDA_HOME: home })).toEqual([join(site, 'nvidia/cu13/include'), join(home, 'include')]);
  });
});

describe('locateLibTorch', () => {
  test('looks at the option first, then at $LIBTORCH, and reports what it looked at', async () => {
    const option = await tree('by option', { ...LIBTORCH_PARTS, 'build-version': '2.1.0' });
    const variable = await tree('by variable', { ...LIBTORCH_PARTS, 'build-version': '2.2.0' });
    const places: TorchPlace[] = [];
    const onPlace = (place: TorchPlace): void => void places.push(place);
    const env = { LIBTORCH: variable };
    expect(await locateLibTorch({ libtorch: option, env, onPlace })).toMatchObject({ root: option });
    expect(await locateLibTorch({ env, onPlace })).toMatchObject({ root: variable });
    expect(places.map(({ place, folder }) => [place, folder])).toEqual([
      ['--libtorch', option],
      ['$LIBTORCH', variable],
    ]);
  });

  test('asks python3 for its torch without importing it', async () => {
    const root = await tree('python/torch', {
      ...LIBTORCH_PARTS,
      'version.py': "__version__ = '2.3.0+cpu'\n",
      '__init__.py': 'raise SystemExit(9)',
    });
    const places: TorchPlace[] = [];
    const env = { PATH: process.env['PATH'], PYTHONPATH: dirname(root) };
    const found = await locateLibTorch({ env, onPlace: (place) => places.push(place) });
    const asked = places.find(({ place }) => place.endsWith('python3') && existsSync('/usr/bin/python3'));
    if (asked === undefined || asked.found.startsWith('no ')) return;
    expect(found).toMatchObject({ root, version: '2.3.0+cpu' });
  });

  test.each<['--libtorch' | '$LIBTORCH']>([['--libtorch'], ['$LIBTORCH']])('does not look elsewhere when %s is wrong', async (place) => {
    const wrong = join(folder, 'not there');
    const options = place === '$LIBTORCH' ? { env: { LIBTORCH: wrong } } : { libtorch: wrong };
    await expect(locateLibTorch(options)).rejects.toThrow(
      `${place} ${JSON.stringify(wrong)}: no such folder; expected an unpacked LibTorch`,
    );
  });
});
