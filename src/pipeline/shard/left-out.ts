/** The account of what a shard holds and no sample has: each member with the reason, and what to do about it. */
import type { TarMember } from './tar/reader.js';
import { counted } from '../../common/counted.js';
import { quoted } from '../../common/quoted.js';
import { printable } from '../../common/printable.js';

/** Reasons, in the words of a count: `2 hard links`. */
export const LEFT_OUT_KINDS = [
  'hard link',
  'symbolic link',
  'sparse file of unknown form',
  'special file',
  'continued file',
  'member of unknown type',
  'AppleDouble file',
  'hidden file',
  'file without extension',
  'file without image',
  'repeated name',
  'unusable label',
  'label of another field',
  'other field',
  'shard without sample',
  'tail behind the end',
  'archive without end',
] as const;
/** Why a member of a shard was left out. */
export type LeftOutKind = (typeof LEFT_OUT_KINDS)[number];

/** A member that is no part of a sample, or a fault of the shard as a whole. */
export interface LeftOut {
  readonly kind: LeftOutKind;
  /** Name of the member, if it is about one. */
  readonly name?: string;
  /** Byte of the shard: of the member's 512-byte header, or where the fault begins. */
  readonly offset: number;
  /** What it is, and what to do, in words that follow the name. */
  readonly problem: string;
}

/** All that a shard leaves out for one reason. */
export interface LeftOutCount {
  readonly kind: LeftOutKind;
  readonly count: number;
  readonly first: LeftOut;
}

/** Adds up what a shard leaves out, however much it is. */
export class LeftOutCounter {
  readonly #counts = new Map<LeftOutKind, { count: number; readonly first: LeftOut }>();

  add(leftOut: LeftOut): void {
    const seen = this.#counts.get(leftOut.kind);
    if (seen) seen.count++;
    else this.#counts.set(leftOut.kind, { count: 1, first: leftOut });
  }

  /** By reason, in the order in which the reasons were met. */
  get counts(): LeftOutCount[] {
    return [...this.#counts].map(([kind, { count, first }]) => ({ kind, count, first }));
  }
}

/** What a shard leaves out for one reason, as `PipelineOptions.onLeftOut` is told. */
export interface ShardLeftOut extends LeftOutCount {
  /** Path or URL of the shard, without a password. */
  readonly shard: string;
}

/** One line for a person, in the words of the first. */
export function leftOutWarning({ shard, first, ...counted }: ShardLeftOut): string {
  const name = first.name === undefined ? '' : `${quoted(first.name)} `;
  const which = counted.count === 1 ? '' : 'the first, ';
  return `${printable(shard)}: ${leftOutInWords([counted])}: ${which}${name}at byte ${first.offset}, ${first.problem}`;
}

/** Takes what shards leave out and warns of each reason at the first shard that has it: a set has it in all of them. */
export function warnOncePerKind(warn: (warning: string) => void): (leftOut: ShardLeftOut) => void {
  const warned = new Set<LeftOutKind>();
  return (leftOut) => {
    if (warned.has(leftOut.kind)) return;
    warned.add(leftOut.kind);
    warn(`${leftOutWarning(leftOut)}. This is said of one shard; detco verify tells of all of them`);
  };
}

/** `2 hard links, 1 unusable label` */
export function leftOutInWords(counts: readonly Pick<LeftOutCount, 'kind' | 'count'>[]): string {
  const sums = new Map<LeftOutKind, number>();
  for (const { kind, count } of counts) sums.set(kind, (sums.get(kind) ?? 0) + count);
  return [...sums].map(([kind, count]) => counted(count, kind)).join(', ');
}

/** Why a member that is no plain file is left out; undefined for those that hold nothing to lose. */
export function leftOutByKind(member: TarMember): LeftOut | undefined {
  const { kind, name, target, type } = member;
  const as = (leftOut: LeftOutKind, problem: string): LeftOut => ({ kind: leftOut, name, offset: headerOf(member), problem });
  switch (kind) {
    case 'file':
    case 'directory':
    case 'volume header':
      return undefined;
    case 'hard link':
      return as(kind, `is a hard link to ${quoted(target)}, without content of its own; pack it with tar --hard-dereference`);
    case 'symbolic link':
      return as(kind, `is a symbolic link to ${quoted(target)}; pack what it leads to, with tar --dereference (-h)`);
    case 'sparse file of unknown form':
      return as(kind, 'is stored in pieces, and how they belong together is not told in a form of GNU tar; pack it without --sparse (-S)');
    case 'special file':
      return as(kind, 'is a device or a pipe; leave it out of the archive');
    case 'continued file':
      return as(kind, 'is the rest of a file that begins in another volume (tar --multi-volume); unpack the volumes and pack one archive');
    case 'unknown':
      return as('member of unknown type', `has the type flag ${quoted(type)}, which no tar here knows; pack it with GNU tar`);
  }
}

/** Why a file whose name has no key is left out. */
export function leftOutByName(member: TarMember): LeftOut {
  const { name } = member;
  const base = name.slice(name.lastIndexOf('/') + 1);
  const at = { name, offset: headerOf(member) };
  if (base.startsWith('._'))
    return { kind: 'AppleDouble file', ...at, problem: 'holds attributes that macOS adds; pack with COPYFILE_DISABLE=1 tar' };
  if (base.startsWith('.'))
    return { kind: 'hidden file', ...at, problem: 'has a name that begins with a dot, so that it has no key; rename it' };
  return {
    kind: 'file without extension',
    ...at,
    problem: 'has no extension that says what it is; rename it, or leave it out of the archive',
  };
}

/** Byte of a member's own 512-byte header. */
export function headerOf({ offset }: TarMember): number {
  return offset - 512;
}
