/**
 * Bundles what TensorFlow.js ships for bundlers alone: the gradients of its operations and the methods of its tensors -> dist/engine/tfjs-extras.js.
 *
 * They are files of tfjs-core that Node cannot import (ES modules without extensions in a CommonJS package). The only build of them for Node is in
 * the union package `@tensorflow/tfjs`, which brings 230 MB of layers, converters and backends along. As there, the parts of tfjs-core
 * that they use are bundled too, and register themselves with the one that is loaded already, which all copies find by a global.
 */
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const CORE = '@tensorflow/tfjs-core';
const FILES = ['register_all_gradients.js', 'public/chained_ops/register_all_chained_ops.js'];

await build({
  stdin: {
    contents: [...FILES.map((file) => `import '${CORE}/dist/${file}';`), `export { version } from '${CORE}/dist/version.js';`].join('\n'),
    resolveDir: fileURLToPath(new URL('..', import.meta.url)),
  },
  outfile: 'dist/engine/tfjs-extras.js',
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  mainFields: ['module', 'main'],
  // First, so that the copy in the bundle finds it.
  banner: { js: `import '${CORE}';` },
  legalComments: 'eof',
  logLevel: 'warning',
});
