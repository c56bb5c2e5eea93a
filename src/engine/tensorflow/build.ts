/**
 * `detco engine build tensorflow`: compiles the binding of the npm package tfjs-node against a TensorFlow from PyPI, in a temporary folder, tries
 * the product in a process of its own and moves it into place. A build that fails or is stopped leaves the last product as it was.
 */
import { mkdir, mkdtemp, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { stagingFolder, writableFolder } from '../native/product.js';
import { quoteErrors, runTool, type ToolOptions } from '../native/run-tool.js';
import { COMPILER_PACKAGE, findCompiler, missingCompiler, nodeHeaders } from '../native/toolchain.js';
import { aptLine, UnavailableError } from '../native/unavailable.js';
import { CORE, inspectTfjs, resolvePackage } from '../packages.js';
import { withoutGlibc, type Candidate } from './candidate.js';
import { BUILD_COMMAND, PIP_COMMAND } from './commands.js';
import { WHEEL_CUDA } from './explain.js';
import { LIBRARIES, type LibTensorFlow } from './libtensorflow.js';
import { locateTensorFlow, type TensorFlowPlace } from './locate.js';
import { gatherPackage, tfjsVersion, type NodePackage } from './npm-package.js';
import { probeAddon, type TensorFlowInfo } from './probe.js';
import { ADDON, buildFolder, NODE_API, packageIn, readRecord, RECORD, type BuildRecord } from './product.js';
import { checkWheel, unpackWheel } from './wheel.js';

export interface BuildOptions {
  /** The Python whose TensorFlow is used, and no other. */
  readonly python?: string | undefined;
  /** A wheel of TensorFlow, instead of an installed one; its libraries go into the product. */
  readonly wheel?: string | undefined;
  readonly env?: NodeJS.ProcessEnv;
  /** The user's folder, where an installed tfjs-node is looked for. */
  readonly project?: string;
  readonly signal?: AbortSignal;
  readonly onPlace?: (place: TensorFlowPlace) => void;
  /** A line for people about what is being done. */
  readonly onLine?: (line: string) => void;
}

export interface BuildReport {
  readonly file: string;
  readonly record: BuildRecord;
  readonly info: TensorFlowInfo;
  readonly seconds: number;
}

/** Only Linux's wheels hold the libraries, and only its loader is known to what finds them. */
const PLATFORM = 'linux';
const SOURCES = ['tfjs_backend.cc', 'tfjs_binding.cc'];

/**
 * Builds the addon.
 * @throws NamedPlaceError when `python` or `wheel` names what cannot be used
 * @throws Error that says what is missing and how to install it, or quotes the compiler
 */
export async function buildTensorFlow(options: BuildOptions = {}): Promise<BuildReport> {
  const { python, wheel, env = process.env, project = process.cwd(), signal, onPlace, onLine = () => {} } = options;
  const started = performance.now();
  if (process.platform !== PLATFORM) {
    throw new Error(
      `The engine tensorflow is built on Linux only, this is ${process.platform}: install the stock package or use --engine wasm`,
    );
  }
  const missing = inspectTfjs();
  if (missing !== undefined) throw new UnavailableError(missing);
  const unfit = withoutGlibc();
  if (unfit !== undefined) throw new Error(`Cannot build: ${unfit.reason}: ${unfit.remedy}`);
  if (wheel !== undefined) await checkWheel(wheel, env, signal);
  const installed = wheel === undefined ? await locateTensorFlow({ python, env, ...(onPlace && { onPlace }) }) : undefined;
  const compiler = await findCompiler(env);
  if (compiler === undefined || (wheel === undefined && installed === undefined)) {
    throw new Error(whatIsMissing(wheel !== undefined || installed !== undefined, compiler !== undefined, env));
  }
  const target = await writableFolder(buildFolder(env));
  const staging = await stagingFolder(target);
  const work = await mkdtemp(join(tmpdir(), 'detco-tensorflow-'));
  try {
    const log = join(target, 'build.log');
    await rm(log, { force: true });
    const tool: ToolOptions = { env, log, signal };
    if (wheel !== undefined) onLine(`unpacking ${wheel}`);
    const tensorflow = installed ?? (await unpackWheel(wheel ?? '', staging, env, signal));
    const source = await gatherPackage(staging, work, project, onLine, tool);
    await shareTensorFlowJs(staging);
    onLine(`compiling ${SOURCES.join(' and ')} for TensorFlow ${tensorflow.version}: some seconds`);
    await compile(compiler, source, tensorflow, staging, wheel !== undefined, tool);
    await rm(join(staging, 'tensorflow/include'), { recursive: true, force: true });
    const info = await tryOut(staging, source, tensorflow, env, log, signal);
    const record = await recordOf(compiler, source, tensorflow, staging, wheel !== undefined);
    await install(staging, record, target);
    if (wheel !== undefined && record.cuda !== undefined) onLine(`this TensorFlow is built for CUDA: ${WHEEL_CUDA}`);
    return { file: join(target, record.build, ADDON), record, info, seconds: (performance.now() - started) / 1000 };
  } finally {
    for (const folder of [work, staging]) await rm(folder, { recursive: true, force: true });
  }
}

function whatIsMissing(hasTensorFlow: boolean, hasCompiler: boolean, env: NodeJS.ProcessEnv): string {
  const what = [...(hasTensorFlow ? [] : ['TensorFlow']), ...(hasCompiler ? [] : [missingCompiler(env)])].join(' and ');
  const apt = hasCompiler ? '' : `On Debian and Ubuntu: ${aptLine([COMPILER_PACKAGE])}, then ${BUILD_COMMAND}. `;
  const pip = hasTensorFlow
    ? ''
    : `TensorFlow comes by ${PIP_COMMAND} (for NVIDIA GPUs: python3 -m pip install 'tensorflow[and-cuda]'), then ${BUILD_COMMAND}; ` +
      'or give another Python by --python FILE, or a wheel by --wheel FILE.';
  return `Cannot build: ${what} not found. ${apt}${pip}`.trim();
}

/**
 * The kernels must see the very tfjs-core that this package uses; where the product lies elsewhere, by a link. They ask for it by the name of
 * the union package too, whose other parts they do not use.
 */
async function shareTensorFlowJs(build: string): Promise<void> {
  const ours = resolvePackage(CORE, import.meta.url);
  if (ours !== undefined && resolvePackage(CORE, join(build, 'package.json')) !== ours) await symlink(ours, packageIn(build, CORE));
  const union = packageIn(build, '@tensorflow/tfjs');
  await mkdir(union);
  await writeFile(join(union, 'package.json'), JSON.stringify({ name: '@tensorflow/tfjs', version: tfjsVersion(), main: 'index.js' }));
  await writeFile(join(union, 'index.js'), `module.exports = require('${CORE}');\n`);
}

async function compile(
  compiler: string,
  source: NodePackage,
  { root, includeFolder }: LibTensorFlow,
  build: string,
  fromWheel: boolean,
  tool: ToolOptions,
): Promise<void> {
  const args = [
    '-std=c++17',
    '-O2',
    '-fPIC',
    '-shared',
    '-w',
    `-DNAPI_VERSION=${NODE_API}`,
    ...[source.folder, includeFolder, nodeHeaders()].map((folder) => `-I${folder}`),
    ...SOURCES.map((name) => join(source.folder, 'binding', name)),
    '-o',
    join(build, ADDON),
    `-L${root}`,
    ...LIBRARIES.map((library) => `-l:${library}`),
    // A product that holds the libraries may be moved with them. They look themselves for CUDA's, where pip puts those: in nvidia/ beside them.
    `-Wl,-rpath,${fromWheel ? '$ORIGIN/tensorflow' : root}`,
  ];
  const { code, lines } = await runTool(compiler, args, tool);
  if (code !== 0) throw new Error(`the compiler failed:\n${quoteErrors(lines)}\nThe whole log is ${tool.log}`);
}

async function tryOut(
  build: string,
  { name, folder }: NodePackage,
  { root }: LibTensorFlow,
  env: NodeJS.ProcessEnv,
  log: string,
  signal: AbortSignal | undefined,
): Promise<TensorFlowInfo> {
  const candidate: Candidate = {
    source: 'built',
    addon: join(build, ADDON),
    packageName: name,
    packageFolder: folder,
    libraryFolder: root,
  };
  const info = await probeAddon(candidate, env, signal);
  if ('reason' in info) throw new Error(`The addon was compiled, but ${info.reason}. The log of the build is ${log}`);
  return info;
}

async function recordOf(
  compiler: string,
  source: NodePackage,
  { version, root, libraryBytes, cuda }: LibTensorFlow,
  build: string,
  fromWheel: boolean,
): Promise<BuildRecord> {
  const builtAt = new Date().toISOString();
  return {
    build: `${version}-${builtAt.replaceAll(/\D/g, '')}`,
    tensorflowVersion: version,
    libraryFolder: fromWheel ? 'tensorflow' : root,
    libraryBytes,
    ...(cuda !== undefined && { cuda }),
    packageName: source.name,
    packageVersion: source.version,
    compiler,
    arch: process.arch,
    nodeApi: NODE_API,
    builtAt,
    bytes: (await stat(join(build, ADDON))).size,
  };
}

/**
 * A process that has the last product loaded keeps its files, which are removed from their folder only. Nothing else in the target is: it may
 * be a folder of the user's, and another build may be at work in it.
 */
async function install(staging: string, record: BuildRecord, target: string): Promise<void> {
  await writeFile(join(staging, RECORD), `${JSON.stringify(record, undefined, 2)}\n`);
  const build = join(target, record.build);
  const last = readRecord(target);
  await rename(staging, build);
  await rename(join(build, RECORD), join(target, RECORD));
  const outdated = last === undefined ? undefined : join(target, last.build);
  if (outdated !== undefined && dirname(outdated) === target) await rm(outdated, { recursive: true, force: true });
}
