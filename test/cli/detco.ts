/** Runs the built command in a process of its own. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @param onLine called with each line of stderr; a signal it returns is sent to the process */
export async function detco(
  args: readonly string[],
  {
    bin = 'bin/detco.cjs',
    env = {},
    onLine,
  }: {
    readonly bin?: string;
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly onLine?: (line: string) => NodeJS.Signals | undefined;
  } = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    stderr += `${line}\n`;
    const signal = onLine?.(line);
    if (signal !== undefined) child.kill(signal);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}
