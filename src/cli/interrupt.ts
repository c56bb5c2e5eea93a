/** What ends a command from outside: one mechanism for all of them. Exit code 128 + the signal's number, as shells have it. */
import { constants } from 'node:os';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/**
 * Signals within this time of the first are the same wish: npx passes on the Ctrl-C that the terminal has sent to its child as well, `timeout` sends
 * to its child and to the child's group, and a shell sends SIGHUP beside the kernel's.
 */
const ONE_WISH_MS = 1000;

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
 * Runs `work`, whose signal the first SIGINT, SIGTERM or SIGHUP aborts with an `Interrupted`. A second one ends the process at once, as if nobody
 * had listened. The listeners stay: what comes after the first may come when the work has ended already.
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
  for (const signal of SIGNALS) process.on(signal, interrupt);
  return work(stop.signal);
}

/** By the signal itself, so that whoever waits for the process sees what ended it. */
function endAtOnce(signal: NodeJS.Signals): void {
  // A progress bar has hidden the cursor.
  if (process.stderr.isTTY) process.stderr.write('\u001b[?25h\n');
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
}
