/** Strict TypeScript projects that use the package where it is installed: they are compiled, and run. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, cpSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './command.mjs';

const STRICT = {
  strict: true,
  exactOptionalPropertyTypes: true,
  noUncheckedIndexedAccess: true,
  noPropertyAccessFromIndexSignature: true,
  target: 'es2022',
  lib: ['es2023', 'esnext.disposable'],
  types: ['node'],
  outDir: 'out',
  // Declarations are checked too: the package's own, and those of all that they name.
  skipLibCheck: false,
};
/** TensorFlow.js 4.22 declares what it takes from browsers and from packages that it does not bring. */
const NOT_OURS = /^\S*node_modules\/(@tensorflow|@webgpu)\//;

/** Of the package with its peers. */
export function checkProjects(root, folder, shard) {
  const entries = ['every-entry.ts'];
  project(root, folder, { name: 'nodenext', files: entries, options: { module: 'nodenext' } });
  run(folder, process.execPath, ['nodenext/out/every-entry.js', shard]);

  // A bundler bundles the program and leaves packages to Node, for the pipeline starts its workers from files of its own.
  project(root, folder, { name: 'bundler', files: entries, options: { module: 'esnext', moduleResolution: 'bundler' } });
  const bundle = ['--bundle', '--platform=node', '--format=esm', '--packages=external', '--log-level=warning'];
  run(folder, join(root, 'node_modules/.bin/esbuild'), ['bundler/every-entry.ts', ...bundle, '--outfile=bundler/out/bundle.mjs']);
  run(folder, process.execPath, ['bundler/out/bundle.mjs', shard]);
  console.log('projects with "module": "nodenext" and "moduleResolution": "bundler" compile and run');
}

/** The type tests, of the package that is installed. */
export function checkTypes(root, folder) {
  giveFrom(root, folder, ['expect-type']);
  const files = readdirSync(join(root, 'test/types'));
  project(root, folder, { name: 'types', from: 'test/types', files, options: { module: 'nodenext', noEmit: true } });
  console.log('the type tests hold');
}

/** Of CommonJS, on this Node and on the oldest that the package is for. */
export function checkCommonJs(root, folder, shard, oldestNode) {
  const [requires, imports] = ['commonjs-require', 'commonjs-import'];
  // "node18" has the rules of a Node whose `require` knows no modules.
  project(root, folder, { name: requires, type: 'commonjs', files: [`${requires}.cts`], options: { module: 'nodenext' } });
  project(root, folder, { name: imports, type: 'commonjs', files: [`${imports}.cts`], options: { module: 'node18' } });
  const required = [`${requires}/out/${requires}.cjs`, shard];
  const imported = [`${imports}/out/${imports}.cjs`, shard];

  run(folder, process.execPath, required);
  run(folder, process.execPath, imported);
  const oldest = run(folder, 'npx', ['--yes', '--package', `node@${oldestNode}`, '--', 'node', '-p', 'process.execPath']).stdout.trim();
  run(folder, oldest, required, { status: 1, says: 'ERR_REQUIRE_ESM' });
  run(folder, oldest, imported);
  console.log(`CommonJS: require() works on Node ${process.versions.node}, import() on ${oldestNode} too`);
  return oldest;
}

/** Of the pipeline without peers. */
export function checkAlone(root, folder, shard, oldest) {
  project(root, folder, { name: 'alone', files: ['pipeline-alone.ts'], options: { module: 'nodenext' } });
  for (const node of [process.execPath, oldest]) run(folder, node, ['alone/out/pipeline-alone.js', shard]);
}

/** Compiles a project of these files in a folder of its own. */
function project(root, folder, { name, type = 'module', from = 'scripts/check-install/projects', files, options }) {
  const place = join(folder, name);
  mkdirSync(place);
  for (const file of files) copyFileSync(join(root, from, file), join(place, file));
  writeFileSync(join(place, 'package.json'), JSON.stringify({ private: true, type }));
  writeFileSync(join(place, 'tsconfig.json'), JSON.stringify({ compilerOptions: { ...STRICT, ...options }, files }));
  compile(root, place);
}

/** @throws Error with the compiler's messages */
export function compile(root, folder) {
  const { stdout, status } = spawnSync(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '--pretty', 'false'], {
    cwd: folder,
    encoding: 'utf8',
  });
  const errors = stdout.split('\n').filter((line) => line.includes('error TS') && !NOT_OURS.test(line));
  if (errors.length > 0 || (status !== 0 && stdout === '')) throw new Error(`tsc in ${folder}:\n${errors.join('\n')}`);
}

/** Gives a project packages that the checkout has, such as the types of Node. */
export function giveFrom(root, folder, names = ['@types/node', 'undici-types']) {
  for (const name of names) {
    cpSync(join(root, 'node_modules', name), join(folder, 'node_modules', name), { recursive: true });
  }
}
