/** Takes the lock of the run in argv[2], says so or why not, and holds it until stdin ends. */
import { RunLock } from '#dist/train/run-lock.js';

try {
  const lock = await RunLock.take(process.argv[2]);
  process.stdout.write('taken\n');
  process.stdin.resume().on('end', () => void lock.release());
} catch (error) {
  process.stdout.write(`${error.name}: ${error.message}\n`);
}
