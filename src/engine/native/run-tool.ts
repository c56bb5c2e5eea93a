/** Runs a tool of the build: its lines are heard as they come, kept in a log, and its end is awaited even when it is stopped. */
import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { finished } from 'node:stream/promises';

export interface ToolOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Output of every call is appended. */
  readonly log: string;
  readonly signal?: AbortSignal | undefined;
  readonly onLine?: (line: string) => void;
}

export interface ToolOutcome {
  readonly code: number | null;
  readonly lines: readonly string[];
}

/** Kept in memory for messages; the log has them all. */
const KEPT_LINES = 1000;

/** @throws the signal's reason when it was aborted, after the tool and its children have been told to end */
export async function runTool(command: string, args: readonly string[], { env, log, signal, onLine }: ToolOptions): Promise<ToolOutcome> {
  signal?.throwIfAborted();
  const file = createWriteStream(log, { flags: 'a' });
  const written = finished(file);
  // Awaited at the end; a disk that is full must not be an unhandled error until then.
  written.catch(() => undefined);
  file.write(`$ ${command} ${args.join(' ')}\n`);
  // A group of its own: make's compilers are ended with it.
  const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const lines: string[] = [];
  const hear = (line: string): void => {
    file.write(`${line}\n`);
    lines.push(line);
    if (lines.length > KEPT_LINES) lines.shift();
    onLine?.(line);
  };
  for (const input of [child.stdout, child.stderr]) createInterface({ input }).on('line', hear);
  const stop = (): void => {
    try {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGTERM');
    } catch {
      // It has ended by itself.
    }
  };
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    signal?.throwIfAborted();
    return { code, lines };
  } finally {
    signal?.removeEventListener('abort', stop);
    file.end();
    await written;
  }
}

/** Lines of a compiler that a message quotes. */
const QUOTED_LINES = 30;

/** What a message quotes of a tool that failed: from the first error on, for what follows it is often its echo; else the end. */
export function quoteErrors(lines: readonly string[]): string {
  const first = lines.findIndex((line) => /\berror\b/i.test(line));
  return (first === -1 ? lines.slice(-QUOTED_LINES) : lines.slice(first, first + QUOTED_LINES)).join('\n');
}
