/** What commands print: names of others within it are shown, and never obeyed by the terminal. */
import { printable, printableJson } from '../common/printable.js';

/** Result of a command, on stdout. */
export function printLines(lines: readonly string[]): void {
  console.log(lines.map(printable).join('\n'));
}

/** Result of a command with `--json`, on stdout: one object on one line. */
export function printJson(result: object): void {
  console.log(printableJson(result));
}

/** A line for people, on stderr. */
export function say(line: string): void {
  process.stderr.write(`${printable(line)}\n`);
}
