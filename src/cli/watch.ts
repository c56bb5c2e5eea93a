/** Long work on the command line: signals stop it, a bar on a terminal or plain lines elsewhere show how far it is. */
import { SingleBar } from 'cli-progress';
import { closeSources } from '../pipeline/source/index.js';
import { interruptible } from './interrupt.js';

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
  const bar = new SingleBar({ format, stream: process.stderr, noTTYOutput: true });
  let started = false;
  try {
    const update: Watched['update'] = (done, total, shown = {}) => {
      if (!started) bar.start(total, done, shown);
      started = true;
      bar.setTotal(total);
      bar.update(done, shown);
    };
    return await interruptible(interrupted, (signal) => work({ signal, update }));
  } finally {
    bar.stop();
    await closeSources();
  }
}
