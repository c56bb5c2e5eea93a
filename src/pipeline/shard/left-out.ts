/** The account of what a shard holds and no sample has: each member with the reason, and what to do about it. */
import type { TarMember } from './tar/reader.js';

/** Reasons, in the words of a count: `2 hard links`. */
export type LeftOutKind =
  | 'hard link'
  | 'symbolic link'
  | 'sparse file'
  | 'special file'
  | 'continued file'
  | 'member of unknown type'
  | 'AppleDouble file'
  | 'hidden file'
  | 'file without extension'
  | 'file without image'
  | 'repeated name'
  | 'unusable label'
  | 'other field'
  | 'shard without sample'
  | 'tail behind the end';

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

/** Adds up what is left out by its reason, in the order in which the reasons are met. */
export function countLeftOut(all: Iterable<LeftOut>): LeftOutCount[] {
  const counts = new Map<LeftOutKind, { count: number; readonly first: LeftOut }>();
  for (const leftOut of all) {
    const seen = counts.get(leftOut.kind);
    if (seen) seen.count++;
    else counts.set(leftOut.kind, { count: 1, first: leftOut });
  }
  return [...counts].map(([kind, { count, first }]) => ({ kind, count, first }));
}

/** `2 hard links, 1 unusable label` */
export function leftOutInWords(counts: readonly Pick<LeftOutCount, 'kind' | 'count'>[]): string {
  const sums = new Map<LeftOutKind, number>();
  for (const { kind, count } of counts) sums.set(kind, (sums.get(kind) ?? 0) + count);
  return [...sums].map(([kind, count]) => `${count} ${count === 1 ? kind : plural(kind)}`).join(', ');
}

function plural(kind: string): string {
  return kind.replace(/^(.*?)( without .*| of .*| behind .*)?$/, '$1s$2');
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
      return as(kind, `is a hard link to ${JSON.stringify(target)}, without content of its own; pack it with tar --hard-dereference`);
    case 'symbolic link':
      return as(kind, `is a symbolic link to ${JSON.stringify(target)}; pack what it leads to, with tar --dereference (-h)`);
    case 'sparse file':
      return as(kind, 'is stored as a sparse file, in pieces; pack it without tar --sparse (-S)');
    case 'special file':
      return as(kind, 'is a device or a pipe; leave it out of the archive');
    case 'continued file':
      return as(kind, 'is the rest of a file that begins in another volume (tar --multi-volume); unpack the volumes and pack one archive');
    case 'unknown':
      return as('member of unknown type', `has the type flag ${JSON.stringify(type)}, which no tar here knows; pack it with GNU tar`);
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
