/** The npm package tfjs-node: where it is installed, and from the registry where it is not. Nothing is written into an installed one. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { buffer } from 'node:stream/consumers';
import { dirname, join, normalize } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { runTool, type ToolOptions } from '../native/run-tool.js';
import { CORE, resolvePackage } from '../packages.js';
import { NODE_PACKAGES } from './commands.js';
import { ADDON, packageIn } from './product.js';

/** The only dependency of its backend and kernels besides TensorFlow.js; 3.21 is the last that its generated code was made for. */
const PROTOBUF = 'google-protobuf';
const PROTOBUF_VERSION = '3.21.4';

export interface NodePackage {
  readonly name: string;
  readonly version: string;
  readonly folder: string;
}

/** The version of the TensorFlow.js that the engine runs on; backend and kernels must be of the same one. */
export function tfjsVersion(): string {
  const folder = resolvePackage(CORE, import.meta.url);
  return (folder === undefined ? undefined : versionOf(folder)) ?? 'unknown';
}

/** Those that the user's project or this package sees, the preferred one first. @param project the user's folder */
export function installedPackages(project: string = process.cwd()): NodePackage[] {
  return NODE_PACKAGES.flatMap((name) => {
    const folder = resolvePackage(name, join(project, 'package.json')) ?? resolvePackage(name, import.meta.url);
    const version = folder === undefined ? undefined : versionOf(folder);
    return folder === undefined || version === undefined ? [] : [{ name, version, folder }];
  });
}

function versionOf(folder: string): string | undefined {
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as { version?: unknown };
  return typeof version === 'string' ? version : undefined;
}

/** The addon that an installed package has downloaded, for the newest Node-API that this Node has. */
export function stockAddon(folder: string): string | undefined {
  const lib = join(folder, 'lib');
  const versions = (existsSync(lib) ? readdirSync(lib) : []).flatMap((name) => Number(/^napi-v(\d+)$/.exec(name)?.[1] ?? NaN));
  const usable = versions.filter((version) => version <= Number(process.versions.napi)).toSorted((a, b) => b - a);
  return usable.map((version) => join(lib, `napi-v${version}`, ADDON)).find((file) => existsSync(file));
}

/** Parts of the package that a build needs: JavaScript, and the sources of the binding. */
const PARTS = ['package.json', 'dist', 'binding'];

/**
 * Puts the npm package and google-protobuf into `build/node_modules`: copied from where the package is installed in the right version, else
 * fetched with `npm pack`, which runs no script of it.
 * @param work a folder for the tarballs
 */
export async function gatherPackage(
  build: string,
  work: string,
  project: string,
  onLine: (line: string) => void,
  tool: ToolOptions,
): Promise<NodePackage> {
  const version = tfjsVersion();
  const installed = installedPackages(project).find((candidate) => candidate.version === version);
  if (installed !== undefined) {
    const protobuf = resolvePackage(PROTOBUF, join(installed.folder, 'package.json'));
    if (protobuf !== undefined && existsSync(join(installed.folder, 'binding'))) {
      onLine(`the binding is that of ${installed.name} ${version} in ${installed.folder}`);
      const folder = packageIn(build, installed.name);
      for (const part of PARTS) await cp(join(installed.folder, part), join(folder, part), { recursive: true });
      await cp(protobuf, packageIn(build, PROTOBUF), { recursive: true, dereference: true });
      return { name: installed.name, version, folder };
    }
  }
  // The two differ in what their install scripts download alone.
  const name = '@tensorflow/tfjs-node';
  const folder = packageIn(build, name);
  const wanted = [
    [`${name}@${version}`, folder],
    [`${PROTOBUF}@${PROTOBUF_VERSION}`, packageIn(build, PROTOBUF)],
  ] as const;
  onLine(`fetching ${wanted.map(([spec]) => spec).join(' and ')} with npm pack`);
  for (const [spec, into] of wanted) await unpack(await fetchTarball(spec, work, tool), into);
  return { name, version, folder };
}

/**
 * Versions are exact, so what npm has kept of one is not asked for again. A download that comes to a halt is tried again after a minute,
 * where npm would wait for five.
 */
const FETCHING = ['--prefer-offline', '--fetch-timeout', '60000', '--loglevel', 'error'];

async function fetchTarball(spec: string, work: string, tool: ToolOptions): Promise<string> {
  const into = join(work, spec.replaceAll(/\W+/g, '-'));
  await mkdir(into, { recursive: true });
  const instead = 'or install it yourself: npm install --ignore-scripts @tensorflow/tfjs-node';
  let outcome;
  try {
    outcome = await runTool('npm', ['pack', spec, '--pack-destination', into, ...FETCHING], tool);
  } catch (error) {
    tool.signal?.throwIfAborted();
    throw new Error(`${spec} is needed and npm does not run here: put npm into PATH, ${instead}`, { cause: error });
  }
  const [tarball] = await readdir(into);
  if (outcome.code === 0 && tarball !== undefined) return join(into, tarball);
  const said = outcome.lines.filter((line) => /^npm (error|ERR!)/.test(line) && !/complete log|A complete/.test(line)).slice(0, 5);
  throw new Error(
    `npm pack ${spec} failed (exit code ${String(outcome.code)}): make the npm registry reachable (npm ping tells), ${instead}\n${said.join('\n')}`,
  );
}

/** @param tarball of npm: everything in it lies in one folder, `package` */
async function unpack(tarball: string, into: string): Promise<void> {
  const entries = extract();
  entries.end(gunzipSync(await readFile(tarball)));
  for await (const entry of entries) {
    const { name, type } = entry.header;
    const path = normalize(name.slice(name.indexOf('/') + 1));
    if (type !== 'file' || path.startsWith('..')) {
      entry.resume();
      continue;
    }
    await mkdir(dirname(join(into, path)), { recursive: true });
    await writeFile(join(into, path), await buffer(entry));
  }
}
