/** The build's refusals, and what is told of a product that does not fit. A whole build: test/cli/engine.test.ts. */
import { mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { blasWarning, openblasCore } from '#dist/engine/torch/blas.js';
import { buildTorch } from '#dist/engine/torch/build.js';
import { inspectNative, loadNative, probeNative } from '#dist/engine/torch/native.js';
import { cpuFlags, NODE_API, nativeFolder, sourceDigest, type BuildRecord } from '#dist/engine/torch/product.js';
import { writeTree } from '../support/tree.js';
import { LIBTORCH_PARTS } from './libtorch.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-torch-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tree = (name: string, files: Readonly<Record<string, string>>): Promise<string> => writeTree(join(folder, name), files);

describe('buildTorch', () => {
  test('names the tools that are not in PATH and the packages that bring them', async () => {
    const libtorch = await tree('no tools', { ...LIBTORCH_PARTS, 'build-version': '2.1.0' });
    const env = { PATH: await tree('empty', {}) };
    await expect(buildTorch({ libtorch, env })).rejects.toThrow(
      'Cannot build: cmake and a C++ compiler not found. On Debian and Ubuntu: apt-get install --no-install-recommends cmake g++, then npx detco engine build torch.',
    );
    await expect(buildTorch({ libtorch, env: { ...env, CXX: 'none++' } })).rejects.toThrow(
      'cmake and a C++ compiler (CXX is "none++", which is no command that runs: correct or unset it) not found',
    );
  });
});

describe('a product', () => {
  const ELF = '\u007fELF and nothing more';
  const rebuild = 'build it again: npx detco engine build torch';

  /** A product with a record that fits this machine and LibTorch, and what is changed in it. */
  async function product(name: string, bytes: string, changed: Partial<BuildRecord> = {}): Promise<NodeJS.ProcessEnv> {
    const root = await tree(`${name}/libtorch`, { ...LIBTORCH_PARTS, 'build-version': '2.1.0' });
    const record: BuildRecord = {
      torchVersion: '2.1.0',
      libtorchRoot: root,
      libraryFolder: join(root, 'lib'),
      cuda: false,
      cxx11Abi: true,
      arch: process.arch,
      cpuFlags: cpuFlags(),
      nodeApi: NODE_API,
      builtAt: new Date(0).toISOString(),
      sourceDigest: sourceDigest() ?? '',
      bytes: bytes.length,
      ...changed,
    };
    const place = await tree(name, { 'detco-torch.node': bytes, 'build.json': JSON.stringify(record) });
    return { ...process.env, DETCO_TORCH_ADDON: join(place, 'detco-torch.node') };
  }

  test.each<[string, string, Partial<BuildRecord>, string]>([
    ['garbage bytes', 'garbage bytes', {}, 'is not a shared library'],
    ['a file that was cut short', ELF, { bytes: 5000 }, `has ${ELF.length} bytes, its build.json says 5000`],
    ['another architecture', ELF, { arch: 'mips' }, `it was built for mips, this Node is ${process.arch}`],
    ['a CPU with more instructions', ELF, { cpuFlags: ['avx9000'] }, 'it was built on a CPU with avx9000, which this one lacks'],
    ['other sources', ELF, { sourceDigest: '00' }, "it was built from other sources than this version's"],
    ['another LibTorch', ELF, { torchVersion: '2.0.0' }, 'it was built for LibTorch 2.0.0, in '],
  ])('is refused for %s before anything is loaded', async (name, bytes, changed, reason) => {
    const env = await product(`product ${name}`, bytes, changed);
    expect(inspectNative(env)).toEqual({ reason: expect.stringContaining(reason), remedy: rebuild });
    expect(() => loadNative(env)).toThrow(reason);
    expect(await probeNative(env)).toMatchObject({ reason: expect.stringContaining(reason) });
  });

  test('is refused when its LibTorch is gone', async () => {
    const gone = join(folder, 'gone');
    const env = await product('product without LibTorch', ELF, { libtorchRoot: gone, libraryFolder: gone });
    expect(inspectNative(env)).toEqual({
      reason: `the LibTorch 2.1.0 that it was built for is gone from ${gone}`,
      remedy: expect.stringContaining('npx detco engine build torch'),
    });
  });

  test('is refused when this Node has an older Node-API', async () => {
    const env = await product('product for a newer Node', ELF, { nodeApi: 99 });
    expect(inspectNative(env)).toEqual({ reason: expect.stringContaining('it needs Node-API 99'), remedy: 'use a newer Node' });
  });

  test('that the loader refuses gives its words, and the process goes on', async () => {
    const env = await product('product of nothing', ELF);
    expect(inspectNative(env)).toBeUndefined();
    expect(() => loadNative(env)).toThrow(rebuild);
    expect(await probeNative(env)).toEqual({ reason: expect.stringContaining('it does not load'), remedy: rebuild });
  });

  test('that ends the process that loads it is told by its signal', async () => {
    const crash = join(await tree('crash', { 'crash.cjs': "process.kill(process.pid, 'SIGILL');" }), 'crash.cjs');
    const env = await product('product that crashes', ELF);
    expect(await probeNative({ ...env, NODE_OPTIONS: `--require ${crash}` })).toEqual({
      reason: 'a process that loaded it ended with SIGILL',
      remedy: rebuild,
    });
  });

  test('that is named and is not there is quoted', () => {
    const file = join(folder, 'none.node');
    const problem = { reason: `DETCO_TORCH_ADDON is ${JSON.stringify(file)}, which is no file`, remedy: 'correct or unset it' };
    expect(inspectNative({ DETCO_TORCH_ADDON: file })).toEqual(problem);
  });

  const missing = inspectNative();
  (missing === undefined ? test : test.skip)(`of the build here loads and says what it is (${missing?.reason ?? 'built'})`, async () => {
    const info = await probeNative();
    expect(info).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+/), threads: expect.any(Number) });
    expect(loadNative().info()).toMatchObject({ version: 'version' in info ? info.version : '' });
    expect(loadNative()).toBe(loadNative());
  });
});

describe('nativeFolder', () => {
  test('is found from dist and from a bundle elsewhere in the package', async () => {
    const root = await tree('package', { 'native/torch/CMakeLists.txt': '', 'dist/engine/torch/native.js': '', 'bundle/gpu.js': '' });
    for (const from of ['dist/engine/torch', 'bundle']) expect(nativeFolder(join(root, from))).toBe(join(root, 'native/torch'));
  });

  test('has sources whose digest changes with them', async () => {
    const native = await tree('sources', { 'CMakeLists.txt': '', 'src/a.cc': 'int a;', 'src/cuda/b.cc': '' });
    const before = sourceDigest(native);
    await writeFile(join(native, 'src/cuda/b.cc'), 'int b;');
    expect(sourceDigest(native)).not.toBe(before);
    expect(await readFile(join(nativeFolder(), 'CMakeLists.txt'), 'utf8')).toContain('detco-torch');
  });
});

test.each([
  ['Prescott', 'avx2 fma avx512f avx512cd avx512dq avx512bw avx512vl', 'SKYLAKEX'],
  ['Prescott', 'avx2 fma avx512f', 'HASWELL'],
  ['Barcelona', 'avx2 fma', 'HASWELL'],
  ['Prescott', 'ssse3', undefined],
  ['Cooperlake', 'avx2 fma avx512f avx512cd avx512dq avx512bw avx512vl', undefined],
  [undefined, 'avx2 fma', undefined],
])('OpenBLAS that took %s on a CPU with %s is told %s', (chosen, flags, told) => {
  expect(openblasCore(chosen, flags.split(' '))).toBe(told);
});

describe('blasWarning', () => {
  test('warns of the reference BLAS only', async () => {
    for (const [name, warning] of [
      ['blas', 'apt-get install --no-install-recommends libopenblas0-pthread'],
      ['openblas-pthread', undefined],
    ] as const) {
      const libraries = await tree(`libraries with ${name}`, { [`${name}/libblas.so.3`]: '' });
      await symlink(join(libraries, name, 'libblas.so.3'), join(libraries, 'libblas.so.3'));
      if (warning === undefined) expect(blasWarning(libraries)).toBeUndefined();
      else expect(blasWarning(libraries)).toContain(warning);
    }
  });

  test('says nothing of a LibTorch that brings its own', async () => {
    expect(blasWarning(await tree('own BLAS', LIBTORCH_PARTS))).toBeUndefined();
  });
});
