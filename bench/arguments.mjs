/** The command line of a benchmark, whose usage is the comment that its script begins with. */
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

/** Values of these options of `parseArgs`. `--help`, and what is none of them, prints the usage and ends the program. */
export function readOptions(options) {
  let values;
  try {
    ({ values } = parseArgs({ allowNegative: true, options: { ...options, help: { type: 'boolean', default: false } } }));
  } catch (error) {
    process.stderr.write(`${error.message}\n\n${usage()}`);
    return process.exit(2);
  }
  if (!values.help) return values;
  process.stdout.write(usage());
  return process.exit();
}

/** A number given to `--name`, or the end of the program. */
export function wholeNumber(name, text) {
  const value = Number(text);
  if (Number.isInteger(value) && value > 0) return value;
  process.stderr.write(`--${name} ${JSON.stringify(text)}: expected a whole number from 1; give for example --${name} 8\n`);
  return process.exit(2);
}

function usage() {
  const [, comment] = /\/\*\*\n(.*?) \*\//s.exec(readFileSync(process.argv[1], 'utf8'));
  return comment.replaceAll(/^ \* ?/gm, '');
}
