/** Spelling help for error messages. */
import { quoted } from './quoted.js';

/** Levenshtein distance: insertions, deletions and substitutions. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1));
    }
    previous = row;
  }
  return previous[b.length] ?? 0;
}

const MOST = 3;

/** The names that `name` was most likely meant to be, nearest first; at most three, none when nothing is near. */
export function nearestNames(name: string, known: readonly string[]): string[] {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, '');
  const wanted = plain(name);
  const near = known
    .map((candidate) => ({ candidate, distance: editDistance(wanted, plain(candidate)) }))
    .filter(({ distance }) => distance <= Math.max(2, wanted.length / 4))
    .toSorted((a, b) => a.distance - b.distance);
  // Beside one that differs by a slip, others are other words.
  const found = near.filter(({ distance }) => distance <= (near[0]?.distance ?? 0) + 1).map(({ candidate }) => candidate);
  if (found.length > 0) return found.slice(0, MOST);
  // A part of a name: "queue" for "queueSize".
  const parts = known.filter((candidate) => wanted.length > 2 && (plain(candidate).includes(wanted) || wanted.includes(plain(candidate))));
  return parts.slice(0, MOST);
}

/** `no "name": did you mean "a" or "b"? Expected one of a, b, c`, for the first of these names. */
export function noSuch([name = '']: readonly string[], known: readonly string[]): string {
  return `no ${quoted(name)}: ${expectedOneOf(name, known)}`;
}

/** `did you mean "a" or "b"? Expected one of a, b, c` */
export function expectedOneOf(name: string, known: readonly string[]): string {
  const near = nearestNames(name, known).map((candidate) => `"${candidate}"`);
  const guess = near.length > 0 ? `did you mean ${near.join(' or ')}? ` : '';
  return `${guess}${guess ? 'Expected' : 'expected'} one of ${known.join(', ')}`;
}
