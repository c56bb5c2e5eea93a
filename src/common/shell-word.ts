/** Paths and names in commands that messages suggest. */

/** What a POSIX shell reads as itself. */
const PLAIN = /^[\w@%+:,./-]+$/;

/** The word as it is typed in a POSIX shell: as it is, or in single quotes where the shell would take a part of it for its own. */
export function shellWord(word: string): string {
  return PLAIN.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
