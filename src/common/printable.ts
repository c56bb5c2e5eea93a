/** Text of others in messages: names of members, files and objects, and what servers say. */

/**
 * What a terminal would obey in place of showing it: controls (C0, DEL, C1), which move the cursor and more, line ends in a name, which
 * would make two lines of one, and the marks that reverse the order of what follows (Unicode Standard Annex 9).
 */
const UNPRINTABLE = /[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu;

/** The text with `\u001b` for each such character. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** The same of a text of several lines. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** A value as JSON on one line, which reads back as it was. */
export function printableJson(value: unknown): string {
  return printable(JSON.stringify(value));
}
