/** What a limit on open files does to a command, which Node and packages tell of in several ways, one of them wrong. */
import { openFilesLimit } from '../pipeline/machine.js';

/** With fewer, Node cannot load the modules of a command, of which it opens many at once. Workers and sockets of 16 lanes need no more. */
const ENOUGH = 256;

/** @returns what to put before the message of an error, which looks as if files were missing; undefined when it is not of too few open files */
export function openFilesAdvice(message: string): string | undefined {
  // Node's loader of modules takes a file that it may not open for one that is not there.
  const misread = message.includes('Cannot find package') || message.includes('Cannot find module');
  // A package that loads others may tell of it in the words of the system alone, among other causes.
  const named = message.includes('EMFILE') || message.toLowerCase().includes('too many open files');
  if (!misread && !named) return undefined;
  const limit = openFilesLimit();
  if (limit === undefined || (misread && limit >= ENOUGH)) return undefined;
  return `this process may have ${limit} files open at once; raise that to ${Math.max(4 * ENOUGH, 4 * limit)} (ulimit -n, or the limits of the container or the user)`;
}
