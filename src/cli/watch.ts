/** Long work on the command line: signals stop it, a bar on a terminal or plain lines elsewhere show how far it is. */
import { SingleBar } from 'cli-progress';
import { closeSources } from '../pipeline/source/index.js';
import { interruptible } from './interrupt.js';
import { say } from './print.js';

/** Between plain lines. */
const LINE_INTERVAL_MS = 2000;

export interface Watched {
  /** Aborted by a signal that ends the command. */
  readonly signal: AbortSignal;
  /** Shows that `done` of `total` are done; `shown` are the words of the format. */
  readonly update: (done: number, total: number, shown?: Readonly<Record<string, string | number>>) => void;
}

/**
 * Runs `work` and closes the sockets that it opened.
 * @param format of `cli-progress`: {value}, {total}, {percentage} and the words that updates give
 * @param interrupted message of the error when a signal has stopped it
 */
export async function watch<Result>(
  { format, interrupted }: { readonly format: string; readonly interrupted: string },
  work: (watched: Watched) => Promise<Result>,
): Promise<Result> {
  const { update, stop } = process.stderr.isTTY ? barOf(format) : plainLines(format);
  try {
    return await interruptible(interrupted, (signal) => work({ signal, update }));
  } finally {
    stop();
    await closeSources();
  }
}

interface Display extends Pick<Watched, 'update'> {
  readonly stop: () => void;
}

function barOf(format: string): Display {
  const bar = new SingleBar({ format, stream: process.stderr });
  let started = false;
  return {
    update: (done, total, shown = {}) => {
      if (!started) bar.start(total, done, shown);
      started = true;
      bar.setTotal(total);
      bar.update(done, shown);
    },
    stop: () => bar.stop(),
  };
}

/** A line when something has changed, every few seconds and at the end. */
function plainLines(format: string): Display {
  let [line, printed, printedAt] = ['', '', -Infinity];
  const print = (): void => {
    if (line !== printed) say(line);
    [printed, printedAt] = [line, performance.now()];
  };
  return {
    update: (done, total, shown = {}) => {
      const words: Readonly<Record<string, string | number>> = {
        value: done,
        total,
        percentage: Math.floor((100 * done) / Math.max(total, 1)),
        ...shown,
      };
      line = format.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(words[name] ?? ''));
      if (performance.now() - printedAt >= LINE_INTERVAL_MS) print();
    },
    stop: print,
  };
}
