/** What ends a command from outside: one mechanism for all of them. Exit code 128 + the signal's number, as shells have it. */
import { readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { underNohup } from './nohup.js';
import { display } from './print.js';

/**
 * Signals within this time of the first are the same wish: `timeout` signals its child, then the group that the child is in; npx may send on
 * the Ctrl-C that the terminal has sent to its child too, as late as it gets to it.
 */
const ONE_WISH_MS = process.env['npm_command'] === undefined ? 100 : 1000;
/** How often it is looked whether npm is still there. */
const ORPHAN_MS = 250;

/** Why a command ends before it is done. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted';
  readonly exitCode: number;

  constructor(signal: NodeJS.Signals, message: string) {
    super(message);
    this.exitCode = 128 + constants.signals[signal];
  }
}

/**
 * Runs `work`, whose signal the first SIGINT, SIGTERM or SIGHUP aborts with an `Interrupted`; under nohup SIGHUP is none. A second one ends the
 * process at once, as if nobody had listened. The listeners stay: what comes after the first may come when the work has ended already.
 *
 * @param message of the `Interrupted`
 */
export async function interruptible<Result>(message: string, work: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
  const stop = new AbortController();
  let firstAt: number | undefined;
  const interrupt = (signal: NodeJS.Signals): void => {
    firstAt ??= performance.now();
    if (!stop.signal.aborted) stop.abort(new Interrupted(signal, message));
    else if (performance.now() - firstAt >= ONE_WISH_MS) endAtOnce(signal);
  };
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, interrupt);
  if (!underNohup()) {
    process.on('SIGHUP', interrupt);
    onOrphaned(() => stop.abort(new Interrupted('SIGTERM', message)));
  }
  return work(stop.signal);
}

/**
 * npx passes SIGTERM on to the shell between it and this process, which dies of it and tells nobody; SIGHUP ends npx itself, the shell stays.
 * Either death is the signal then.
 */
function onOrphaned(callback: () => void): void {
  if (process.env['npm_command'] === undefined) return;
  const parent = process.ppid;
  let grandparent = npmAbove(parent);
  const timer = setInterval(() => {
    const found = npmAbove(parent);
    grandparent ??= found;
    if (process.ppid === parent && (found === undefined || found === grandparent)) return;
    clearInterval(timer);
    callback();
  }, ORPHAN_MS);
  timer.unref();
}

/** The process above a shell of npm, 'npm' where npm is the parent; undefined where /proc does not tell, or no file can be opened any more. */
function npmAbove(parent: number): string | undefined {
  try {
    const [, name = '', grandparent = ''] = /\((.*)\) . (\d+)/s.exec(readFileSync(`/proc/${parent}/stat`, 'utf8')) ?? [];
    return name.startsWith('npm ') ? 'npm' : grandparent;
  } catch {
    return undefined;
  }
}

/** By the signal itself, so that whoever waits for the process sees what ended it. */
function endAtOnce(signal: NodeJS.Signals): void {
  display.end(true);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container gets no signal that it does not listen to.
  process.exit(128 + constants.signals[signal]);
}
