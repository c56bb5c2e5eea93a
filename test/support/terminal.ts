/** A terminal that closes under a command. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './bytes.js';

/**
 * Runs a command line in a terminal that closes once the run has a checkpoint. `script` gives it, and takes it away when it is killed.
 *
 * @param path of the run
 * @param shell what the shell of the terminal does before: where it takes no notice of SIGHUP the run is sent none
 * @returns the exit code of the command line
 */
export async function closingTerminal(path: string, line: string, shell = ''): Promise<string> {
  const status = `${path}.status`;
  // The inner shell lives on to tell how the run ended; Node takes no notice of what its parent ignores.
  await writeFile(`${path}.sh`, `${shell}\n(trap '' HUP; ${line}; echo $? > '${status}.partial'; mv '${status}.partial' '${status}')\n:\n`);
  // exec: a shell between, which dash leaves, would be the one that the terminal ends, and its end sends the others SIGHUP.
  const terminal = spawn('script', ['-qefc', `exec sh '${path}.sh'`, '/dev/null'], { stdio: ['ignore', 'ignore', 'ignore'] });
  await until(() => existsSync(join(path, 'last')));
  terminal.kill('SIGKILL');
  await until(() => existsSync(status));
  return (await readFile(status, 'utf8')).trim();
}
