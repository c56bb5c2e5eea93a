/** What the archives of a source hold besides the images, counted up to a place from which a run may go on. */
import { identityOf } from '../../source/identity.js';
import { type LeftOut, type LeftOutKind, leftOutInWords } from '../left-out.js';
import type { Archive, Place } from './archives.js';
import type { ArchiveLeftOut } from './set.js';
import { quoted } from '../../../common/quoted.js';

export class ArchivesLeftOut {
  readonly #archives: readonly Archive[];
  readonly #counts: Map<LeftOutKind, ArchiveLeftOut>;
  /** Members are read ahead of the samples that are kept. */
  #waiting: { readonly archive: number; readonly leftOut: LeftOut }[] = [];

  /** @param counted by the run that this one goes on with */
  constructor(archives: readonly Archive[], counted: readonly ArchiveLeftOut[]) {
    this.#archives = archives;
    this.#counts = new Map(counted.map((count) => [count.kind, count]));
  }

  add(archive: number, leftOut: LeftOut): void {
    this.#waiting.push({ archive, leftOut });
  }

  /** Counts of what lies before a place; the rest is met again by who goes on from there. */
  before(place: Place): ArchiveLeftOut[] {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const one of waiting) {
      const { archive, leftOut: first } = one;
      if (archive > place.archive || (archive === place.archive && first.offset >= place.start)) {
        this.#waiting.push(one);
        continue;
      }
      const { kind } = first;
      const seen = this.#counts.get(kind);
      const source = identityOf(this.#archives[archive]?.location ?? '');
      this.#counts.set(kind, seen ? { ...seen, count: seen.count + 1 } : { kind, count: 1, first, source });
    }
    return [...this.#counts.values()];
  }
}

/** One line for a person. */
export function archiveLeftOutInWords({ first, source, ...counted }: ArchiveLeftOut): string {
  const name = first.name === undefined ? '' : `${quoted(first.name)} `;
  return `${leftOutInWords([counted])}, such as ${name}at byte ${first.offset} of ${source}: it ${first.problem}`;
}
