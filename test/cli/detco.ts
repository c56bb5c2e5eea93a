/** Runs the built command in a process of its own. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { until } from '../support/bytes.js';

export interface Outcome {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

type Child = ChildProcessByStdio<null, Readable, Readable>;

function start(bin: string, args: readonly string[], env: NodeJS.ProcessEnv, cwd?: string): Child {
  return spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'], env, cwd });
}

/** Sends a signal to the process that was started, or to the whole group that it leads. */
export type Send = (signal: NodeJS.Signals, to?: 'process' | 'group') => void;

/** Any command, in a group of its own, as a shell's job. Ends when nobody holds its output any more. */
export async function job(
  [file = '', ...args]: readonly string[],
  { cwd, onLine }: { readonly cwd?: string; readonly onLine?: (line: string, send: Send) => void } = {},
): Promise<Outcome> {
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true, cwd });
  const pid = child.pid ?? Number.NaN;
  const send: Send = (signal, to = 'process') => {
    try {
      process.kill(to === 'group' ? -pid : pid, signal);
    } catch (error) {
      // It has ended, and its output is still on its way.
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  };
  return outcomeOf(child, (line) => onLine?.(line, send));
}

function outcomeOf(child: Child, onLine?: (line: string) => void): Promise<Outcome> {
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  createInterface({ input: child.stderr }).on('line', (line) => {
    stderr += `${line}\n`;
    onLine?.(line);
  });
  return new Promise((resolve, reject) => {
    child.on('error', reject).on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
  });
}

/** @param onLine called with each line of stderr; a signal it returns is sent to the process */
export async function detco(
  args: readonly string[],
  {
    bin = 'bin/detco.cjs',
    env = {},
    cwd,
    onLine,
  }: {
    readonly bin?: string;
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly cwd?: string;
    readonly onLine?: (line: string) => NodeJS.Signals | undefined;
  } = {},
): Promise<Outcome> {
  const child = start(bin, args, { ...process.env, ...env }, cwd);
  return outcomeOf(child, (line) => {
    const signal = onLine?.(line);
    if (signal !== undefined) child.kill(signal);
  });
}

/** Sends `signal` as soon as `condition` holds; the process must not have ended before. */
export async function detcoUntil(
  args: readonly string[],
  condition: () => boolean,
  signal: NodeJS.Signals,
  { bin = 'bin/detco.cjs' }: { readonly bin?: string } = {},
): Promise<Outcome> {
  const child = start(bin, args, process.env);
  const ended = outcomeOf(child);
  await until(() => child.exitCode !== null || condition());
  if (child.exitCode !== null) throw new Error(`${bin} ${args.join(' ')} ended too soon: ${(await ended).stderr}`);
  child.kill(signal);
  return ended;
}
