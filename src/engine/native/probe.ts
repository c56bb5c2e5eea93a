/** Tries an addon in a process of its own: whatever happens there, this one goes on. */
import { execFile } from 'node:child_process';

const PROBE_MS = 120_000;
/** Libraries that are asked to may tell much on stderr. */
const PROBE_BYTES = 2 ** 26;

/** argv: the file. */
const script = (expression: string): string => `
const module = { exports: {} };
try {
  process.dlopen(module, process.argv[1], require('node:os').constants.dlopen.RTLD_NOW);
  process.stdout.write(JSON.stringify({ told: ((addon) => (${expression}))(module.exports) }));
} catch (error) {
  process.stdout.write(JSON.stringify({ error: error instanceof Error ? error.message : String(error) }));
}
`;

export type ProbeOutcome<Told> =
  /** What the addon says, and what it wrote meanwhile. */
  | { readonly told: Told; readonly stderr: string }
  /** The words of the loader, or of the addon. */
  | { readonly error: string }
  /** How the process ended instead, in words. */
  | { readonly ended: string };

/**
 * Loads an addon in a new Node and asks it.
 * @param expression of JavaScript over `addon`; its value must go through JSON
 * @throws the signal's reason when it was aborted, and the process is told to end
 */
export function probeAddonFile<Told>(
  file: string,
  expression: string,
  env: NodeJS.ProcessEnv,
  signal?: AbortSignal,
): Promise<ProbeOutcome<Told>> {
  return new Promise((resolve, reject) => {
    const args = ['--input-type=commonjs', '--eval', script(expression), file];
    execFile(process.execPath, args, { env, signal, timeout: PROBE_MS, maxBuffer: PROBE_BYTES }, (error, stdout, stderr) => {
      if (signal?.aborted) return reject(signal.reason);
      const answer = parse<{ told: Told } | { error: string }>(stdout);
      if (answer !== undefined) return resolve('told' in answer ? { told: answer.told, stderr } : answer);
      const said = stderr.trim().split('\n').at(-1);
      const how = error?.killed
        ? `was stopped after ${PROBE_MS / 1000} s`
        : `ended with ${error?.signal ?? `exit code ${String(error?.code ?? 0)}`}`;
      return resolve({ ended: `a process that loaded it ${how}${said ? `: ${said}` : ''}` });
    });
  });
}

function parse<Value>(text: string): Value | undefined {
  try {
    return JSON.parse(text) as Value;
  } catch {
    return undefined;
  }
}
