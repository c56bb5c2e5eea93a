/** What a limit on open files does to a command, which Node tells of in two ways, one of them wrong. */

/** With fewer, Node cannot load the modules of a command, of which it opens many at once. Workers and sockets of 16 lanes need no more. */
const ENOUGH = 256;

/** @returns what to add to the message of an error; undefined when it is not of too few open files */
export function openFilesAdvice(message: string): string | undefined {
  // Node's loader of modules takes a file that it may not open for one that is not there.
  const misread = message.includes('Cannot find package') || message.includes('Cannot find module');
  if (!misread && !message.includes('EMFILE')) return undefined;
  const limit = openFilesLimit();
  if (limit === undefined || (misread && limit >= ENOUGH)) return undefined;
  return `this process may have ${limit} files open at once; raise that to ${Math.max(4 * ENOUGH, 4 * limit)} (ulimit -n, or the limits of the container or the user)`;
}

/** Node raises the soft limit to the hard one when it starts. Undefined on Windows, and where there is no limit. */
function openFilesLimit(): number | undefined {
  const { userLimits } = process.report.getReport() as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: number | string } };
  };
  const limit = userLimits?.open_files?.soft;
  return typeof limit === 'number' ? limit : undefined;
}
