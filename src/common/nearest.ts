/** Spelling help for error messages. */
import { quoted } from './quoted.js';

/** Insertions, deletions, substitutions, and neighbours that change places (optimal string alignment). */
function editDistance(a: string, b: string): number {
  const rows = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number): number => rows[i]?.[j] ?? Infinity;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const substituted = at(i - 1, j - 1) + (a[i - 1] === b[j - 1] ? 0 : 1);
      const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? at(i - 2, j - 2) + 1 : Infinity;
      row.push(Math.min(substituted, swapped, at(i - 1, j) + 1, at(i, j - 1) + 1));
    }
  }
  return at(a.length, b.length);
}

/** Names that are offered at most. */
const MOST = 3;
/** Of a part of a name, "queue" for "queueSize": farther than two slips. */
const PART = 2.5;

/** The names that `name` was most likely meant to be: the nearest, or up to three that are equally near; none when nothing is. */
export function nearestNames(name: string, known: readonly string[]): string[] {
  const plain = (text: string): string => text.toLowerCase().replaceAll(/[-_]/g, '');
  const wanted = plain(name);
  const distances = known.map((candidate) => {
    const other = plain(candidate);
    const isPart = wanted.length > 2 && (other.includes(wanted) || wanted.includes(other));
    const edits = editDistance(wanted, other);
    return { candidate, distance: isPart ? Math.min(PART, edits) : edits };
  });
  const nearest = Math.min(...distances.map(({ distance }) => distance));
  // With as many slips as letters any name would do.
  if (nearest >= wanted.length || nearest > Math.max(PART, wanted.length / 3)) return [];
  const found = distances.filter(({ distance }) => distance === nearest);
  return found.slice(0, MOST).map(({ candidate }) => candidate);
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
