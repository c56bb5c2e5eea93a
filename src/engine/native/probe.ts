/** Tries an addon in a process of its own: whatever happens there, this one goes on. */
import { execFile } from 'node:child_process';

const PROBE_MS = 120_000;

export interface ProbeOutcome {
  /** What the script wrote to its standard output as one JSON value; undefined when it ended before that. */
  readonly answer: unknown;
  /** How the process ended, such as `with SIGILL`. */
  readonly how: string;
  readonly stderr: string;
}

/** Runs a CommonJS script in a new Node. */
export function runProbe(script: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<ProbeOutcome> {
  return new Promise((resolve) => {
    const all = ['--input-type=commonjs', '--eval', script, ...args];
    execFile(process.execPath, all, { env, timeout: PROBE_MS }, (error, stdout, stderr) => {
      const how = error?.signal ? `with ${error.signal}` : `with exit code ${String(error?.code ?? 0)}`;
      resolve({ answer: parse(stdout), how, stderr });
    });
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
