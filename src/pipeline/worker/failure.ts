import { codeOf } from '../../common/error-code.js';
import { reasonOf } from '../source/source.js';

/** Says whose end it was when a worker did not end by an error of its own. */
export function workerError(
  error: unknown,
  { name, lanes, heapMb }: { readonly name: string; readonly lanes: readonly number[]; readonly heapMb: number | undefined },
): unknown {
  const code = codeOf(error);
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') {
    const problem = `${name} ran out of memory: its JavaScript heap reached ${heapMb} MB while it served lanes ${lanes.join(', ')} (${code})`;
    return Object.assign(new Error(`${problem}; raise workerMemoryMb, or use fewer lanes or more workers`, { cause: error }), { code });
  }
  const [, exitCode] = /^worker exited with code: (\d+)$/.exec(reasonOf(error)) ?? [];
  if (exitCode === undefined) return error;
  const problem = `${name} ended with exit code ${exitCode} while it served lanes ${lanes.join(', ')}`;
  return new Error(`${problem}; code loaded into it called process.exit(), or it was terminated`, { cause: error });
}
