import { readFile } from 'node:fs/promises';
import { reasonOf } from '../source/source.js';
import { quoted } from '../../common/quoted.js';

/**
 * Names of the classes 0, 1, ... from a file with one on each line, as the `classes.txt` that `detco shard` writes.
 * @throws RangeError that names the file: it cannot be read, or a line is empty or comes twice
 */
export async function readClassNames(file: string): Promise<string[]> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new RangeError(`${quoted(file)} cannot be read (${reasonOf(error)}); expected a file with one class name on each line`, {
      cause: error,
    });
  });
  const names = text
    .replace(/\r?\n$/, '')
    .split(/\r?\n/)
    .map((line) => line.trim());
  const lines = new Map<string, number>();
  for (const [label, name] of names.entries()) {
    const before = lines.get(name);
    if (name === '' || before !== undefined) {
      const problem = name === '' ? 'is empty' : `${quoted(name)} is line ${before} as well`;
      throw new RangeError(`${quoted(file)}: line ${label + 1} ${problem}; expected one class name on each line, each once`);
    }
    lines.set(name, label + 1);
  }
  return names;
}
