/** What the name and the content of a tar member mean in a shard (WebDataset's conventions). */

export interface MemberName {
  /** What the members of a sample share: the path up to a dot of the base name, without a leading `./`. */
  readonly key: string;
  /** What follows that dot, in lower case: `jpg`, `cls`, `input.jpg`. */
  readonly field: string;
}

/** Where a key ends. WebDataset's is the first dot of the base name; at the last one each file name is a sample. */
export type KeyEnd = 'first dot' | 'last dot';

const NAMES: Readonly<Record<KeyEnd, RegExp>> = {
  'first dot': /^((?:.*\/)?[^./]+)\.([^/]*)$/s,
  'last dot': /^((?:.*\/)?[^./][^/]*)\.([^./]*)$/s,
};

/** @returns undefined for a name without a key: no dot, or one that begins with a dot (macOS puts `._x.jpg` into tars) */
export function memberName(path: string, end: KeyEnd = 'first dot'): MemberName | undefined {
  const [, key, field = ''] = NAMES[end].exec(path.replace(/^(?:\.\/)+/, '')) ?? [];
  return key === undefined ? undefined : { key, field: field.toLowerCase() };
}

/** Whether a field is an image by its last extension: `jpg`, `0.jpg`. */
export function isImageField(field: string): boolean {
  return /(?:^|\.)(?:jpe?g|png|webp)$/.test(field);
}

export const LABEL_FIELD = 'cls';

/** No photograph comes near it, a damaged size field may: above it the content is skipped and not kept. */
export const MAX_IMAGE_BYTES = 256 << 20;
/** A class index has a few digits, a class name a few words. */
export const MAX_LABEL_BYTES = 256;

/** Whether a batch can hold the label as it is: it has 32 bits for one. */
function isLabel(value: number): boolean {
  return (value | 0) === value;
}

/** @returns the class index, or undefined for text that is not a whole number, or too large a one */
export function parseLabel(text: string): number | undefined {
  const value = Number(text);
  return /^\s*-?\d+\s*$/.test(text) && isLabel(value) ? value : undefined;
}
