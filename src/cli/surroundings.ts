/** What may happen around a command without ending it: readers that go away, a terminal that closes under nohup. Before all else in the process. */
import { closeSync } from 'node:fs';
import { isatty } from 'node:tty';
import { underNohup } from './nohup.js';

/** A pipe that nobody reads any more, a terminal that is gone. */
const GONE: ReadonlySet<string | undefined> = new Set(['EPIPE', 'EIO']);
const FAILED = 1;

export function settle(): void {
  process.stderr.on('error', () => {});
  // A report that did not fit on a disk is another matter than one that nobody wanted to see the end of.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (GONE.has(error.code)) return;
    process.stderr.write(`detco: the output could not be written: ${error.message}\n`);
    process.exitCode = FAILED;
  });
  if (underNohup()) process.on('SIGHUP', () => {});
  const terminals = [0, 1, 2].filter((fd) => isatty(fd));
  process.on('exit', () => {
    // Node 20 sets terminals back when it ends, and aborts where one is gone. It leaves alone what is closed.
    for (const fd of terminals) if (!isatty(fd)) closeSync(fd);
  });
}
