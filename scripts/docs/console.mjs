/** Blocks of language `console`: commands after `$ `, and what they print. */

/** @returns each command with the lines that are expected of it */
export function sessions(text) {
  const found = [];
  let continued = false;
  for (const line of text.trimEnd().split('\n')) {
    const last = found.at(-1);
    if (continued && last !== undefined) last.command += `\n${line}`;
    else if (line.startsWith('$ ')) found.push({ command: line.slice(2), expected: [] });
    else if (last === undefined) throw new Error(`a block of language console begins with "${line}": expected "$ COMMAND"`);
    else last.expected.push(line);
    continued = (continued || line.startsWith('$ ')) && line.endsWith('\\');
  }
  return found;
}

/**
 * Expected lines have to come in their order. Numbers may be others, since times and machines differ; `...` stands for any text; and
 * where a page breaks or aligns a line does not matter.
 *
 * @returns the first line that does not come, or undefined
 */
export function mismatch(expected, output) {
  let rest = plain(output);
  for (const line of expected) {
    const found = line.trim() === '' ? [''] : pattern(line).exec(rest);
    if (found === null) return line;
    rest = rest.slice((found.index ?? 0) + found[0].length);
  }
  return undefined;
}

const plain = (text) => text.replaceAll(/\s+/g, ' ');

function pattern(line) {
  const escaped = plain(line.trim()).replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`);
  return new RegExp(escaped.replaceAll(String.raw`\.\.\.`, '.*?').replaceAll(/\d+(?:\\\.\d+)?/g, String.raw`\d+(?:\.\d+)?`), 'u');
}
