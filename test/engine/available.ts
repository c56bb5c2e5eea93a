/** Tests of what a machine may lack, such as an engine: they are skipped there, and their titles say why. */
import { execFileSync } from 'node:child_process';
import { describe, test } from '@jest/globals';
import { inspectEngines } from '#dist/engine/index.js';
import type { EngineName } from '#dist/engine/index.js';

interface Where {
  readonly describe: typeof describe.skip;
  readonly test: typeof test.skip;
  /** Why they skip; empty where they do not. */
  readonly note: string;
}

/** `describe` and `test` where the engine is available, else what skips; `note` belongs at the end of their titles. */
export async function whereAvailable(name: EngineName): Promise<Where> {
  const report = (await inspectEngines()).find((candidate) => candidate.name === name);
  if (report?.available) return { describe, test, note: '' };
  return { describe: describe.skip, test: test.skip, note: ` (skipped: ${report?.reason}; ${report?.remedy})` };
}

/** Whether all of these commands are in PATH. */
export function hasTools(...tools: readonly string[]): boolean {
  try {
    for (const tool of tools) execFileSync(tool, ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
