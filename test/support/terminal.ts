/** Commands in a terminal: one that closes under them, and one that a person sits at. */
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import xterm from '@xterm/headless';
import { until } from './bytes.js';

const [ROWS, COLUMNS] = [24, 120];
const AT = join(import.meta.dirname, 'in_terminal.py');

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

/** What a person does once a text has come: types, sends a signal, or makes the terminal wider or narrower. `\u0003` is Ctrl-C. */
export interface Step {
  readonly until: string;
  readonly type?: string;
  readonly signal?: NodeJS.Signals;
  readonly columns?: number;
  /** How long the person waits before. */
  readonly afterMs?: number;
}

export interface Seen {
  readonly code: number;
  /** All that the terminal got. */
  readonly text: string;
  /** The lines that it shows in the end, from those that have left the screen to the one that the cursor is in. */
  readonly lines: readonly string[];
}

/** Runs a command in a terminal. Needs python3. */
export async function inTerminal(
  command: readonly string[],
  {
    steps = [],
    env = {},
    columns = COLUMNS,
  }: { readonly steps?: readonly Step[]; readonly env?: Readonly<Record<string, string>>; readonly columns?: number } = {},
): Promise<Seen> {
  const order = { command, steps, env: { TERM: 'xterm-256color', ...env }, rows: ROWS, columns };
  const { stdout } = await promisify(execFile)('python3', [AT, JSON.stringify(order)], { maxBuffer: 1 << 26 });
  const { code, text, left } = JSON.parse(stdout) as { code: number; text: string; left: readonly string[] };
  if (left.length > 0) throw new Error(`${command.join(' ')}: the terminal never got ${left.join(', ')} in:\n${text.slice(-2000)}`);
  return { code, text, lines: await linesOf(text, columns) };
}

/** As a terminal shows them that had this width all along: xterm's own. */
async function linesOf(text: string, columns: number): Promise<string[]> {
  const terminal = new xterm.Terminal({ rows: ROWS, cols: columns, scrollback: 10_000, allowProposedApi: true });
  await new Promise<void>((resolve) => terminal.write(text, resolve));
  const { active } = terminal.buffer;
  const last = active.baseY + active.cursorY;
  const lines = Array.from({ length: last + 1 }, (_, at) => active.getLine(at)?.translateToString(true) ?? '');
  terminal.dispose();
  return lines;
}
