/**
 * One script out of the suite, the engines and TensorFlow.js.
 *
 * The tests are ES modules with extensionless imports that reach into tfjs-core's own files; the engines import the package. Bundled
 * together, both mean the same modules, so kernels and gradients are registered where the tests look for them.
 */
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, sep } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { globSync } from 'tinyglobby';

const require = createRequire(import.meta.url);
const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const CORE = dirname(require.resolve('@tensorflow/tfjs-core/package.json'));
/** Comes along with jasmine; the package's own entry lists files for browsers beside it. */
const JASMINE = join(dirname(createRequire(require.resolve('jasmine')).resolve('jasmine-core')), 'jasmine-core/jasmine.js');

/** @param outfile path of the script to write */
export async function bundle(outfile) {
  await build({
    entryPoints: [fileURLToPath(new URL('suite.mjs', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    mainFields: ['module', 'main'],
    alias: { 'jasmine-core': JASMINE },
    external: ['*.node'],
    legalComments: 'none',
    // By its package.json, a test file imported for its effects alone has none.
    ignoreAnnotations: true,
    logLevel: 'error',
    // TensorFlow.js and jasmine are CommonJS in places. DETCO_DIST moves the engines' own files along with a packed script.
    banner: {
      js: [
        "import { createRequire as detcoCreateRequire } from 'node:module';",
        "import { pathToFileURL as detcoFileUrl } from 'node:url';",
        'const require = detcoCreateRequire(import.meta.url);',
        `const detcoDist = process.env.DETCO_DIST ? detcoFileUrl(process.env.DETCO_DIST + '/').href : '${pathToFileURL(DIST).href}';`,
      ].join('\n'),
    },
    plugins: [suitePlugin],
  });
}

const suitePlugin = {
  name: 'conformance',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^conformance:tests$/ }, () => ({ path: 'tests', namespace: 'conformance' }));
    onLoad({ filter: /.*/, namespace: 'conformance' }, async () => ({ contents: await importTests(), resolveDir: CORE }));

    // The suite's own runner wants jasmine's core for a timeout only.
    onLoad({ filter: /tfjs-core[\\/]dist[\\/]jasmine_util\.js$/ }, async ({ path }) => ({
      contents: (await readFile(path, 'utf8')).replace(/require\('jasmine-core\/[^']*'\)/, '{ core: () => ({}) }'),
    }));

    // Engines find their files relative to themselves, and so does the WebAssembly backend.
    onLoad({ filter: /\.js$/ }, async ({ path }) => {
      const within = relative(DIST, path);
      if (within.startsWith('..')) return undefined;
      const url = `new URL(${JSON.stringify(within.split(sep).join('/'))}, detcoDist).href`;
      return { contents: (await readFile(path, 'utf8')).replaceAll('import.meta.url', url) };
    });
    onLoad({ filter: /tfjs-backend-wasm[\\/]wasm-out[\\/].*\.js$/ }, async ({ path }) => ({
      contents: `var __filename = ${JSON.stringify(path)}, __dirname = ${JSON.stringify(dirname(path))};\n${await readFile(path, 'utf8')}`,
    }));
  },
};

/** Imports of the test files that run on a backend; the others test tfjs-core alone. */
async function importTests() {
  const files = globSync('dist/**/*_test.js', { cwd: CORE }).toSorted();
  const sources = await Promise.all(files.map((file) => readFile(join(CORE, file), 'utf8')));
  return files
    .filter((_, i) => sources[i].includes('describeWithFlags('))
    .map((file) => `import ${JSON.stringify(`./${file}`)};`)
    .join('\n');
}
