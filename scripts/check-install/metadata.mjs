/** What publint and Are the types wrong? find in the tarball: `exports`, `types` and `files` against what is there. */
import { join } from 'node:path';
import { run } from './command.mjs';

/**
 * - `node16` leaves out the resolution `node10` alone, which knows no `exports`: TypeScript 7 has it no more.
 * - `cjs-resolves-to-esm`: there is one build, of ES modules. A second one for `require` would have its own copies of classes and of
 *   the engine that TensorFlow.js runs on. The CommonJS projects of projects.mjs show what works.
 */
const EXCEPTIONS = ['--profile', 'node16', '--ignore-rules', 'cjs-resolves-to-esm'];

export function checkMetadata(root, tarball) {
  const command = (name, ...args) => run(root, join(root, 'node_modules/.bin', name), args);
  command('publint', tarball, '--strict');
  command('attw', tarball, '--no-emoji', '--no-color', ...EXCEPTIONS);
  console.log('publint and attw find nothing');
}
