/** Takes and releases the lock of the run in argv[2] as the lines of stdin say, and answers each: done, or why not. */
import { createInterface } from 'node:readline';
import { RunLock } from '#dist/train/run-lock.js';

let lock;
for await (const word of createInterface({ input: process.stdin })) {
  try {
    if (word === 'take') lock = await RunLock.take(process.argv[2]);
    else await lock.release();
    process.stdout.write(word === 'take' ? 'taken\n' : 'released\n');
  } catch (error) {
    process.stdout.write(`${error.name}: ${error.message}\n`);
  }
}
