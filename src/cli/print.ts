/** What commands print: names of others within it are shown, and never obeyed by the terminal. */
import { Display } from '../common/display.js';
import { printable, printableJson } from '../common/printable.js';

/** All that people are told on stderr goes through it: a line goes above the bar that it draws. */
export const display = new Display(process.stderr);

/** Result of a command, on stdout. */
export function printLines(lines: readonly string[]): void {
  console.log(lines.map(printable).join('\n'));
}

/** Result of a command with `--json`, on stdout: one object on one line. */
export function printJson(result: object): void {
  console.log(printableJson(result));
}

/** A note for people, on stderr; not with `--quiet`. */
export function say(line: string): void {
  display.print(line);
}

/** What people should know even with `--quiet`, on stderr. */
export function warn(line: string): void {
  display.warn(line);
}
