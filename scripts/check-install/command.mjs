/** Runs a command to its end. */
import { spawnSync } from 'node:child_process';

/** @returns what it wrote @throws Error with the command and its output, when it ends otherwise than expected or does not say what it should */
export function run(cwd, command, args, { status = 0, says = '' } = {}) {
  const done = spawnSync(command, args, { cwd, encoding: 'utf8', maxBuffer: 64e6 });
  if (done.error) throw new Error(`${command} cannot be started: ${done.error.message}`, { cause: done.error });
  const output = `${done.stdout}${done.stderr}`;
  if (done.status !== status || !output.includes(says)) {
    const expected = `expected ${status}${says && ` and "${says}"`}`;
    throw new Error(`${[command, ...args].join(' ')} ended with ${done.status ?? done.signal}, ${expected}:\n${output}`);
  }
  return done;
}
