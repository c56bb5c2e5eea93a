/**
 * Takes and releases the lock of the run in argv[2] as the lines of stdin say, and answers each: done, or why not. With argv[3], as one on a
 * host of that name: none of the others can look it up.
 */
import { syncBuiltinESMExports } from 'node:module';
import os from 'node:os';
import { createInterface } from 'node:readline';

const [, , run, host] = process.argv;
if (host !== undefined) {
  os.hostname = () => host;
  syncBuiltinESMExports();
}
const { RunLock } = await import('#dist/train/run-lock.js');

let lock;
for await (const word of createInterface({ input: process.stdin })) {
  try {
    if (word === 'take') lock = await RunLock.take(run);
    else await lock.release();
    process.stdout.write(word === 'take' ? 'taken\n' : 'released\n');
  } catch (error) {
    process.stdout.write(`${error.name}: ${error.message}\n`);
  }
}
