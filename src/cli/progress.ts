/** Long work on the command line: signals stop it, and stderr shows how far it is. */
import { type Progress, ProgressText } from '../common/progress-text.js';
import { closeSources } from '../pipeline/source/index.js';
import { interruptible } from './interrupt.js';
import { display } from './print.js';

export interface Watched {
  /** Aborted by a signal that ends the command. */
  readonly signal: AbortSignal;
  readonly update: (progress: Progress) => void;
}

/**
 * Runs `work`, shows how far it is, and closes the sockets that it opened. Where it fails its last state stays to be read.
 * @param title what the lines begin with, but where an update names a piece of the work
 * @param interrupted message of the error when a signal has stopped it
 */
export async function withProgress<Result>(
  { title, interrupted }: { readonly title: string; readonly interrupted: string },
  work: (watched: Watched) => Promise<Result>,
): Promise<Result> {
  const words = new ProgressText(title);
  const update = (progress: Progress): void => {
    const { text, share, shorter } = words.of(progress);
    display.show(text, share, shorter);
  };
  let done = false;
  display.begin();
  try {
    const result = await interruptible(interrupted, (signal) => work({ signal, update }));
    done = true;
    return result;
  } finally {
    display.end(!done);
    await closeSources();
  }
}
