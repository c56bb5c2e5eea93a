/**
 * Building the binding of tfjs-node and choosing what is loaded. The real compiler and the real loader run here on a TensorFlow and an npm
 * package of a few lines; the real ones are built where a Python with TensorFlow is found.
 */
import { execFile, execFileSync } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { explain } from '#dist/engine/tensorflow/explain.js';
import { locateTensorFlow } from '#dist/engine/tensorflow/locate.js';
import { tfjsVersion } from '#dist/engine/tensorflow/npm-package.js';
import { hear } from '#dist/engine/tensorflow/probe.js';
import type { Candidate } from '#dist/engine/tensorflow/candidate.js';
import type { BuildRecord } from '#dist/engine/tensorflow/product.js';
import { writeTree } from '../support/tree.js';
import { hasTools } from './available.js';
import { compiledTensorFlow, distribution, nodePackage, TENSORFLOW_PARTS, CORE_FOLDER } from './libtensorflow.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../..');
const VERSION = tfjsVersion();
const REBUILD = 'build it again: npx detco engine build tensorflow';

/** Without a compiler of the caller's: tests put their own into PATH. */
const { CXX: _, ...OUR_ENV } = process.env;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-tensorflow-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tree = (name: string, files: Readonly<Record<string, string>>): Promise<string> => writeTree(join(folder, name), files);

interface Place {
  /** The user's folder, with what npm has installed there. */
  readonly project: string;
  readonly env: NodeJS.ProcessEnv;
  /** `dist` of a package, ours by default. */
  readonly dist?: string;
}

/** Evaluates an expression over the modules of the engine in a Node of its own, started in the user's folder. */
async function evaluate(expression: string, { project, env, dist = join(ROOT, 'dist') }: Place): Promise<unknown> {
  const imports = ['build', 'candidate', 'load', 'npm-package', 'state'].map(
    (name) => `...(await import('${pathToFileURL(join(dist, `engine/tensorflow/${name}.js`)).href}'))`,
  );
  const script = `
    const { buildTensorFlow, chooseCandidate, inspectTensorFlow, loadTensorFlow, inspectTensorFlowState } = { ${imports.join(', ')} };
    const value = await (async () => ${expression})().catch((error) => ({ error: error.message }));
    process.stdout.write(JSON.stringify(value ?? null));`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: project, env });
  return JSON.parse(stdout);
}

/** An expression that gives what the tfjs-core that this package uses exports. */
const OUR_CORE = `(await import('${pathToFileURL(join(CORE_FOLDER, 'dist/tf-core.node.js')).href}')).default`;

/** A user's folder with tfjs-node installed, a Python with TensorFlow in PATH, and an empty folder for the product. */
async function place(name: string, files: Readonly<Record<string, string>> = nodePackage(VERSION), site?: string): Promise<Place> {
  const project = await tree(`${name}/project`, files);
  await mkdir(join(project, 'node_modules/@tensorflow'), { recursive: true });
  await symlink(CORE_FOLDER, join(project, 'node_modules/@tensorflow/tfjs-core'));
  const env = { ...OUR_ENV, DETCO_TENSORFLOW_BUILD: join(folder, name, 'build'), ...(site !== undefined && { PYTHONPATH: site }) };
  return { project, env };
}

const canBuild = hasTools('python3', 'c++');
const withTools = canBuild ? test : test.skip;

describe('buildTensorFlow', () => {
  let site: string;
  beforeAll(async () => {
    site = join(folder, 'site');
    if (canBuild) await compiledTensorFlow(site, '2.99.0');
  });

  withTools('compiles the binding, and what it leaves is loaded with TensorFlow.js shared (needs python3 and c++)', async () => {
    const where = await place('whole', undefined, site);
    const before = await contents(where.project);
    const report = (await evaluate('buildTensorFlow()', where)) as { file: string };
    expect(report).toMatchObject({
      info: { version: '2.99.0', gpu: false, cudaDevices: [] },
      record: {
        tensorflowVersion: '2.99.0',
        libraryFolder: join(site, 'tensorflow'),
        packageName: '@tensorflow/tfjs-node',
        packageVersion: VERSION,
      },
    });
    expect(await contents(where.project)).toEqual(before);
    // What the package needs to run is in the product: it may be uninstalled.
    await rm(join(where.project, 'node_modules'), { recursive: true });
    const use = `(async () => {
      const { createBackend, source, libraryFolder, packageName, binding } = loadTensorFlow();
      const { core, union, isSet } = createBackend();
      const ours = ${OUR_CORE};
      const shared = union === ours && core === ours;
      return { source, libraryFolder, packageName, version: binding.TF_Version, shared, isSet };
    })()`;
    expect(await evaluate(use, where)).toEqual({
      source: 'built',
      libraryFolder: join(site, 'tensorflow'),
      packageName: '@tensorflow/tfjs-node',
      version: '2.99.0',
      shared: true,
      isSet: true,
    });
    expect(await evaluate('inspectTensorFlow()', where)).toBeNull();
    expect(await evaluate('inspectTensorFlowState()', where)).toMatchObject({ info: { version: '2.99.0' }, source: 'built', warnings: [] });
    // Kernels that do not load leave no context of TensorFlow behind.
    await rm(join(report.file, '../node_modules/@tensorflow/tfjs-node/dist/register_all_kernels.js'));
    const shared = "process.report.getReport().sharedObjects.some((file) => file.endsWith('tfjs_binding.node'))";
    expect(await evaluate(`(() => { try { loadTensorFlow(); } catch { return ${shared}; } })()`, where)).toBe(false);
  });

  withTools('takes the place of the last product, and of nothing else in its folder (needs python3 and c++)', async () => {
    const where = await place('again', undefined, site);
    await writeTree(where.project, {
      'tf/notes.txt': 'of the user',
      'tf/.new-b/part': 'of another build',
      'tf/.new-k/part': 'of a build that was killed',
    });
    const lastWeek = Date.now() / 1000 - 7 * 24 * 3600;
    await utimes(join(where.project, 'tf/.new-k'), lastWeek, lastWeek);
    // As seen from the user's folder.
    const relative = { ...where, env: { ...where.env, DETCO_TENSORFLOW_BUILD: 'tf' } };
    await evaluate('buildTensorFlow()', relative);
    const { record } = (await evaluate('buildTensorFlow()', relative)) as { record: BuildRecord };
    const left = await readdir(join(where.project, 'tf'));
    expect(left.toSorted()).toEqual([record.build, 'build.json', 'build.log', 'notes.txt', '.new-b'].toSorted());
    expect(await evaluate('loadTensorFlow()', relative)).toMatchObject({ source: 'built', binding: { TF_Version: '2.99.0' } });
  });

  withTools('keeps the libraries of a wheel beside the addon, so that the product can be moved (needs python3 and c++)', async () => {
    const machine = process.arch === 'arm64' ? 'aarch64' : 'x86_64';
    const unpacked = await tree('wheel', distribution('2.98.0', 'tensorflow_cpu', `cp311-cp311-manylinux_2_27_${machine}`));
    await compiledTensorFlow(unpacked, '2.98.0');
    await writeTree(unpacked, {
      ...distribution('2.98.0', 'tensorflow_cpu', `cp311-cp311-manylinux_2_27_${machine}`),
      'tensorflow/python/platform/build_info.py': "('is_cuda_build', True), ('cuda_version', '12.5.1')",
    });
    const wheel = join(folder, 'tensorflow.whl');
    execFileSync('python3', ['-m', 'zipfile', '-c', wheel, ...(await readdir(unpacked)).map((name) => join(unpacked, name))]);
    const where = await place('from a wheel');
    const build = `(async () => {
      const lines = [];
      const report = await buildTensorFlow({ wheel: ${JSON.stringify(wheel)}, onLine: (line) => lines.push(line) });
      return { ...report, last: lines.at(-1) };
    })()`;
    expect(await evaluate(build, where)).toMatchObject({
      info: { version: '2.98.0' },
      record: { libraryFolder: 'tensorflow', cuda: '12.5.1' },
      last: expect.stringMatching(/built for CUDA: name the folders .* in LD_LIBRARY_PATH, or build from a Python environment/),
    });
    await rm(unpacked, { recursive: true });
    const moved = join(folder, 'moved');
    execFileSync('mv', [String(where.env['DETCO_TENSORFLOW_BUILD']), moved]);
    const loaded = await evaluate('loadTensorFlow()', { ...where, env: { ...where.env, DETCO_TENSORFLOW_BUILD: moved } });
    expect(loaded).toMatchObject({ source: 'built', binding: { TF_Version: '2.98.0' } });
  });

  withTools.each<[string, string, string]>([
    ['the compiler fails', '#error no such binding\n', 'the compiler failed:'],
    ['its product does not load', 'extern int absent(); int present = absent();\n', 'The addon was compiled, but it needs _Z6absentv'],
    [
      'its product ends the process',
      '#include <csignal>\nint present = std::raise(SIGILL);\n',
      'a process that loaded it ended with SIGILL',
    ],
  ])('leaves the last product as it was when %s (needs python3 and c++)', async (what, binding, message) => {
    const where = await place(`last product, ${what}`, undefined, site);
    const { record } = (await evaluate('buildTensorFlow()', where)) as { record: BuildRecord };
    await writeTree(where.project, nodePackage(VERSION, binding));
    expect(await evaluate('buildTensorFlow()', where)).toEqual({ error: expect.stringContaining(message) });
    expect(await evaluate('chooseCandidate()', where)).toMatchObject({ source: 'built', record });
    const left = await readdir(String(where.env['DETCO_TENSORFLOW_BUILD']));
    expect(left.toSorted()).toEqual([record.build, 'build.json', 'build.log'].toSorted());
  });

  withTools('leaves the last product as it was when it is stopped while it compiles (needs python3 and c++)', async () => {
    const where = await place('stopped', undefined, site);
    const { record } = (await evaluate('buildTensorFlow()', where)) as { record: BuildRecord };
    const stopped = `(() => {
      const stop = new AbortController();
      const onLine = (line) => line.startsWith('compiling') && setImmediate(() => stop.abort(new Error('stopped')));
      return buildTensorFlow({ signal: stop.signal, onLine });
    })()`;
    expect(await evaluate(stopped, where)).toEqual({ error: 'stopped' });
    expect(await evaluate('chooseCandidate()', where)).toMatchObject({ source: 'built', record });
    const left = await readdir(String(where.env['DETCO_TENSORFLOW_BUILD']));
    expect(left.toSorted()).toEqual([record.build, 'build.json', 'build.log'].toSorted());
  });

  withTools('is stopped while it tries the product (needs python3 and c++)', async () => {
    // Ctrl-C, of which the addon's process does not end by itself.
    const interrupt = '#include <csignal>\n#include <unistd.h>\nint present = (kill(getppid(), SIGINT), pause());\n';
    const where = await place('stopped at the end', nodePackage(VERSION, interrupt), site);
    const stopped = `(() => {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort(new Error('stopped')));
      return buildTensorFlow({ signal: stop.signal });
    })()`;
    expect(await evaluate(stopped, where)).toEqual({ error: 'stopped' });
    expect(await readdir(String(where.env['DETCO_TENSORFLOW_BUILD']))).toEqual(['build.log']);
  });

  test('refuses a Linux without glibc', async () => {
    const musl = `(process.report.getReport = () => ({ header: {} }), buildTensorFlow())`;
    const error = 'Cannot build: TensorFlow has no build for musl (Alpine): use --engine wasm';
    expect(await evaluate(musl, await place('musl'))).toEqual({ error });
  });

  test('says what is missing and the commands that bring it', async () => {
    const empty = await tree('nothing in PATH', {});
    const where = await place('nothing', undefined, await tree('old', { ...TENSORFLOW_PARTS, ...distribution('2.9.1') }));
    const env = { ...where.env, PATH: empty };
    const { error } = (await evaluate('buildTensorFlow()', { ...where, env })) as { error: string };
    expect(error).toContain(
      'Cannot build: TensorFlow and a C++ compiler not found. On Debian and Ubuntu: apt-get install --no-install-recommends g++',
    );
    expect(error).toContain('TensorFlow comes by python3 -m pip install tensorflow-cpu');
    expect(await evaluate('buildTensorFlow()', { ...where, env: { ...env, CXX: 'none++' } })).toEqual({
      error: expect.stringContaining('a C++ compiler (CXX is "none++", which is no command that runs: correct or unset it) not found'),
    });
  });

  withTools('says what to do when npm does not run, or reaches no registry (needs python3 and c++)', async () => {
    const where = await place('not installed', {}, site);
    const tools = await tree('tools without npm', {});
    for (const tool of ['python3', 'c++']) {
      await writeFile(join(tools, tool), `#!/bin/sh\nPATH='${process.env['PATH']}' exec ${tool} "$@"\n`);
      await chmod(join(tools, tool), 0o755);
    }
    expect(await evaluate('buildTensorFlow()', { ...where, env: { ...where.env, PATH: tools } })).toEqual({
      error: `@tensorflow/tfjs-node@${VERSION} is needed and npm does not run here: put npm into PATH, or install it yourself: npm install --ignore-scripts @tensorflow/tfjs-node`,
    });
    // Port 9 of this machine has no server.
    const offline = {
      ...where.env,
      npm_config_registry: 'http://127.0.0.1:9/',
      npm_config_fetch_retries: '0',
      npm_config_cache: join(folder, 'npm'),
    };
    expect(await evaluate('buildTensorFlow()', { ...where, env: offline })).toEqual({
      error: expect.stringMatching(
        /^npm pack @tensorflow\/tfjs-node@\S+ failed \(exit code 1\): make the npm registry reachable[^]*ECONNREFUSED/,
      ),
    });
  });
});

/** As a build of TensorFlow 2.21.0 on this machine leaves it. */
const RECORD: BuildRecord = {
  build: 'b',
  tensorflowVersion: '2.21.0',
  libraryFolder: '/site/tensorflow',
  libraryBytes: [2, 9],
  packageName: '@tensorflow/tfjs-node',
  packageVersion: VERSION,
  compiler: 'c++',
  arch: process.arch,
  nodeApi: 8,
  builtAt: new Date(0).toISOString(),
  bytes: 24,
};

/** Every file below a folder with its text. */
async function contents(root: string): Promise<Record<string, string>> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await readFile(file, 'utf8')] as const)));
}

describe('a product', () => {
  const ELF = '\u007fELF and nothing more';

  /** One whose record fits this machine and its TensorFlow, and what is changed in it. */
  async function product(name: string, changed: Partial<BuildRecord> = {}, bytes = ELF): Promise<Place> {
    const site = await tree(`${name}/site`, { ...TENSORFLOW_PARTS, ...distribution('2.21.0') });
    const where = await place(name, {});
    const record: BuildRecord = { ...RECORD, libraryFolder: join(site, 'tensorflow'), bytes: bytes.length, ...changed };
    const files = {
      'build.json': JSON.stringify(record),
      'b/tfjs_binding.node': bytes,
      'b/node_modules/@tensorflow/tfjs-node/dist/nodejs_kernel_backend.js': '',
      'b/node_modules/@tensorflow/tfjs-node/dist/register_all_kernels.js': '',
    };
    await tree(`${name}/build`, files);
    return where;
  }

  test.each<[string, Partial<BuildRecord>, string, string, string]>([
    ['garbage bytes', {}, 'garbage bytes', 'is not a shared library', REBUILD],
    ['a file that was cut short', { bytes: 5000 }, ELF, `has ${ELF.length} bytes, its build.json says 5000`, REBUILD],
    ['another architecture', { arch: 'mips' }, ELF, `it was built for mips, this Node is ${process.arch}`, REBUILD],
    ['a newer Node', { nodeApi: 99 }, ELF, 'it needs Node-API 99', 'use a newer Node'],
    ['another TensorFlow', { tensorflowVersion: '2.20.0' }, ELF, 'it was built for TensorFlow 2.20.0, in ', REBUILD],
    ['another build of its TensorFlow', { libraryBytes: [2, 8] }, ELF, 'it was built for another libtensorflow_framework.so.2', REBUILD],
    ['another TensorFlow.js', { packageVersion: '4.0.0' }, ELF, 'it was built from @tensorflow/tfjs-node 4.0.0', REBUILD],
    [
      'a TensorFlow that is gone',
      { libraryFolder: '/none' },
      ELF,
      'the TensorFlow 2.21.0 that it was built for is gone from /none',
      'python3 -m pip install tensorflow-cpu && npx detco engine build tensorflow',
    ],
    [
      'a TensorFlow with CUDA that is gone',
      { libraryFolder: '/none', cuda: '12.5.1' },
      ELF,
      'is gone from /none',
      "python3 -m pip install 'tensorflow[and-cuda]' && npx detco engine build tensorflow",
    ],
  ])('is refused for %s before anything is loaded', async (name, changed, bytes, reason, remedy) => {
    const where = await product(`product for ${name}`, changed, bytes);
    expect(await evaluate('inspectTensorFlow()', where)).toEqual({ reason: expect.stringContaining(reason), remedy });
    expect(await evaluate('loadTensorFlow()', where)).toEqual({ error: expect.stringContaining(reason) });
  });

  test('that the loader refuses gives its words, and the process goes on', async () => {
    const where = await product('product of nothing');
    expect(await evaluate('inspectTensorFlow()', where)).toBeNull();
    expect(await evaluate('loadTensorFlow()', where)).toEqual({ error: expect.stringContaining('it does not load') });
    expect(await evaluate('inspectTensorFlowState()', where)).toMatchObject({
      unavailable: { reason: expect.stringContaining('it does not load'), remedy: REBUILD },
    });
  });

  test('whose folder is named and is empty is quoted', async () => {
    const where = await place('empty', {});
    expect(await evaluate('inspectTensorFlow()', where)).toEqual({
      reason: `DETCO_TENSORFLOW_BUILD is ${JSON.stringify(where.env['DETCO_TENSORFLOW_BUILD'])}, which holds no build.json`,
      remedy: expect.stringContaining('npx detco engine build tensorflow'),
    });
  });
});

describe('an installed package', () => {
  const stock = 'node_modules/@tensorflow/tfjs-node';

  /** The same where no folder of a product is named and this package, a copy of it, has none. */
  async function withoutProduct({ project, env }: Place): Promise<Place> {
    const bare = join(project, 'detco');
    for (const name of ['dist', 'package.json']) await cp(join(ROOT, name), join(bare, name), { recursive: true });
    await symlink(join(ROOT, 'node_modules'), join(bare, 'node_modules'));
    return { project, env: { ...env, DETCO_TENSORFLOW_BUILD: '' }, dist: join(bare, 'dist') };
  }

  test('without its addon is told, and both ways to have one', async () => {
    const where = await withoutProduct(await place('no addon'));
    expect(await evaluate('inspectTensorFlow()', where)).toEqual({
      reason: expect.stringContaining(`@tensorflow/tfjs-node ${VERSION} in ${join(where.project, stock)} has no addon`),
      remedy: expect.stringMatching(/npm rebuild @tensorflow\/tfjs-node[^]*npx detco engine build tensorflow/),
    });
  });

  withTools('whose addon ends the process is told with both ways to have another (needs python3 and c++)', async () => {
    const where = await withoutProduct(await place('stock that dies'));
    const lib = await tree('stock that dies/project/node_modules/@tensorflow/tfjs-node/lib/napi-v8', {
      'dies.cc': '#include <csignal>\nint present = std::raise(SIGILL);\n',
    });
    execFileSync('c++', ['-shared', '-fPIC', '-o', join(lib, 'tfjs_binding.node'), join(lib, 'dies.cc')]);
    expect(await evaluate('inspectTensorFlowState()', where)).toMatchObject({
      unavailable: {
        reason: 'a process that loaded it ended with SIGILL',
        remedy: expect.stringMatching(
          /^npm rebuild @tensorflow\/tfjs-node, or build on a current TensorFlow: .*npx detco engine build tensorflow$/,
        ),
      },
    });
  });

  withTools('is used when the product does not fit, and with another copy of TensorFlow.js refused (needs python3 and c++)', async () => {
    const site = join(folder, 'site');
    const where = await place('stock', undefined, site);
    const { file, record } = (await evaluate('buildTensorFlow()', where)) as { file: string; record: BuildRecord };
    const lib = join(where.project, stock, 'lib/napi-v8');
    await mkdir(lib, { recursive: true });
    await copyFile(file, join(lib, 'tfjs_binding.node'));
    await writeFile(join(String(where.env['DETCO_TENSORFLOW_BUILD']), 'build.json'), JSON.stringify({ ...record, arch: 'mips' }));
    const ask =
      '(() => { const { source, packageName, binding } = loadTensorFlow(); return { source, packageName, version: binding.TF_Version }; })()';
    expect(await evaluate(ask, where)).toEqual({ source: 'installed', packageName: '@tensorflow/tfjs-node', version: '2.99.0' });

    expect(await evaluate('inspectTensorFlowState()', where)).toMatchObject({
      source: 'installed',
      info: { gpuReason: 'this TensorFlow is built for CPUs alone' },
      warnings: [`what was built is not used: it was built for mips, this Node is ${process.arch}; ${REBUILD}`],
    });

    await rm(where.env['DETCO_TENSORFLOW_BUILD'] ?? '', { recursive: true });
    expect(await evaluate('inspectTensorFlowState()', where)).toMatchObject({
      source: 'installed',
      warnings: [
        expect.stringMatching(
          /^what was built is not used: DETCO_TENSORFLOW_BUILD is ".*", which holds no build\.json; correct or unset it/,
        ),
      ],
    });

    await rm(join(where.project, 'node_modules/@tensorflow/tfjs-core'));
    await writeTree(join(where.project, 'node_modules'), { '@tensorflow/tfjs-core/package.json': '{"version":"4.0.0"}' });
    expect(await evaluate('inspectTensorFlow()', await withoutProduct(where))).toEqual({
      reason: expect.stringContaining(`uses another copy of TensorFlow.js (${join(where.project, 'node_modules/@tensorflow/tfjs-core')})`),
      remedy: `install version ${VERSION} of it (npm install @tensorflow/tfjs-node@${VERSION}), then npm dedupe`,
    });
  });
});

describe('explain', () => {
  const stock: Candidate = {
    source: 'installed',
    addon: '/p/lib/napi-v8/tfjs_binding.node',
    packageName: '@tensorflow/tfjs-node-gpu',
    packageFolder: '/p',
    libraryFolder: '/p/deps/lib',
  };
  const built: Candidate = { ...stock, source: 'built', packageName: '@tensorflow/tfjs-node', libraryFolder: '/site/tensorflow' };
  const fromWheel: Candidate = { ...built, record: { ...RECORD, libraryFolder: 'tensorflow', cuda: '12.5.1' } };
  const absent = (library: string): string => `${library}: cannot open shared object file: No such file or directory`;

  test.each<[string, Candidate, string, string]>([
    ['libcudart.so.11.0', stock, 'python3 -m pip install nvidia-cuda-runtime-cu11, and put its folder lib into LD_LIBRARY_PATH', ''],
    ['libcudnn.so.8', stock, "'nvidia-cudnn-cu11<9'", "'tensorflow[and-cuda]' && npx detco engine build"],
    ['libcublasLt.so.12', built, 'nvidia-cublas-cu12', "'tensorflow[and-cuda]'"],
    ['libcudnn_cnn.so.9', built, 'nvidia-cudnn-cu12', ''],
    ['libcufft.so.11', fromWheel, 'nvidia-cufft-cu12', 'in LD_LIBRARY_PATH, or build from a Python environment'],
    ['libcuda.so.1', built, "NVIDIA's driver has it", ''],
    ['libtensorflow.so.2', stock, 'npm rebuild @tensorflow/tfjs-node-gpu', "'tensorflow[and-cuda]' && npx detco engine build"],
    ['libtensorflow_cc.so.2', built, REBUILD, ''],
    ['libfoo.so.1', built, 'install what brings that library', ''],
  ])('names what has %s', (library, candidate, remedy, also) => {
    const told = explain(absent(library), candidate);
    expect(told.reason).toContain(`it needs ${library}, which is not found`);
    expect(told.remedy).toContain(remedy);
    expect(told.remedy).toContain(also);
  });

  test('tells another build of TensorFlow by the symbol that it lacks', () => {
    const told = explain('/p/tfjs_binding.node: undefined symbol: TFE_NewContext', built);
    expect(told).toEqual({
      reason: expect.stringContaining('it needs TFE_NewContext, which the TensorFlow found at run time lacks'),
      remedy: REBUILD,
    });
  });
});

describe('hear', () => {
  test('reads the devices, and the libraries that were looked for in vain', () => {
    const log = `2026-01-01 00:00:00.1: W tensorflow/stream_executor/platform/default/dso_loader.cc:64] Could not load dynamic library 'libcudnn.so.8'; dlerror: libcudnn.so.8: cannot open shared object file: No such file or directory
I0000 00:00:1.1 1 gpu_device.cc:2022] Created device /job:localhost/replica:0/task:0/device:GPU:0 with 78767 MB memory:  -> device: 0, name: NVIDIA H100 80GB HBM3, pci bus id: 0000:04:00.0, compute capability: 9.0
I0000 00:00:1.1 1 cuda_executor.cc:1] Could not find cuda drivers on your machine, GPU will not be used.`;
    expect(hear(log)).toEqual({
      cudaDevices: [{ name: 'NVIDIA H100 80GB HBM3', capability: '9.0', usableBytes: 78767 * 2 ** 20 }],
      missingLibraries: ['libcudnn.so.8'],
      gpuReason: 'Could not find cuda drivers on your machine, GPU will not be used.',
    });
  });
});

const here = await locateTensorFlow().catch(() => undefined);
const lacking = here === undefined ? 'no Python here has TensorFlow' : canBuild ? '' : 'no python3 and c++';
describe('the real TensorFlow', () => {
  (lacking === '' ? test : test.skip)(
    `gives an addon that multiplies matrices (${lacking || `TensorFlow ${here?.version}`})`,
    async () => {
      const where = await place('real', {});
      expect(await evaluate('buildTensorFlow()', where)).toMatchObject({ info: { version: here?.version, gpu: expect.any(Boolean) } });
      const multiply = `(async () => {
        const { createBackend } = loadTensorFlow();
        const tf = ${OUR_CORE};
        tf.registerBackend('tensorflow', createBackend);
        await tf.setBackend('tensorflow');
        return [...tf.matMul([[1, 2], [3, 4]], [[1], [1]]).dataSync()];
      })()`;
      expect(await evaluate(multiply, where)).toEqual([3, 7]);
    },
    300_000,
  );
});
