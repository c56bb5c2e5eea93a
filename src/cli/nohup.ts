/**
 * Whether nohup started this process, so that SIGHUP is to be ignored. Node sets every signal back to its default when it starts and passes
 * that on to its children, npx in between included: what nohup asked for is gone by then, and only the traces that it left elsewhere tell.
 */
import { fstatSync, readSync, statSync, type Stats } from 'node:fs';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';

export function underNohup(env: NodeJS.ProcessEnv = process.env): boolean {
  // Bash and zsh name the command that they start; dash and npx leave it.
  return basename(env['_'] ?? '') === 'nohup' || isUnreadable(0) || isOutput(1);
}

/** GNU's nohup puts /dev/null, opened for writing alone, in the place of a terminal. */
function isUnreadable(fd: number): boolean {
  try {
    const { rdev } = fstatSync(fd);
    if (rdev !== statSync('/dev/null').rdev) return false;
    readSync(fd, new Uint8Array(1));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EBADF' && isOpen(fd);
  }
}

/** Every nohup writes what would go to a terminal to this file, in the folder it was started in or at home. */
function isOutput(fd: number): boolean {
  const output = statOf(() => fstatSync(fd));
  return [process.cwd(), homedir()].some((folder) => {
    const file = statOf(() => statSync(join(folder, 'nohup.out')));
    return file !== undefined && file.dev === output?.dev && file.ino === output.ino;
  });
}

const isOpen = (fd: number): boolean => statOf(() => fstatSync(fd)) !== undefined;

function statOf(stat: () => Stats): Stats | undefined {
  try {
    return stat();
  } catch {
    return undefined;
  }
}
