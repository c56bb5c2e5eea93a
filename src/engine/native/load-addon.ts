/** Loads an addon that has threads of its own. */
import { constants } from 'node:os';

/** Of dlfcn.h; Node has no constant for it. */
const RTLD_NODELETE: Readonly<Partial<Record<NodeJS.Platform, number>>> = { linux: 0x1000, darwin: 0x80 };

/**
 * The exports of an addon, which stays in memory: Node unloads those of a worker thread with it, and the addon's own threads would go on in
 * memory that is no longer there.
 * @throws the loader's words for a library or a symbol that is missing
 */
export function loadAddon(file: string): unknown {
  const module: { exports: unknown } = { exports: {} };
  // Now, not lazily: a symbol that is missing is an error here, and would end the process at its first call.
  process.dlopen(module, file, constants.dlopen.RTLD_NOW | (RTLD_NODELETE[process.platform] ?? 0));
  return module.exports;
}
