/**
 * Puts `detco` where `npx` looks first. npm does not link a package's own commands; without the link `npx detco` would
 * install the checkout into npx's cache and build it once more.
 */
import { mkdir, rm, symlink } from 'node:fs/promises';

const link = 'node_modules/.bin/detco';
if (process.platform !== 'win32') {
  await mkdir('node_modules/.bin', { recursive: true });
  await rm(link, { force: true });
  await symlink('../../bin/detco.cjs', link);
}
