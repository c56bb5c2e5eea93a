/** What the name and the content of a tar member mean in a shard (WebDataset's conventions). */

export interface MemberName {
  /** Path up to the first dot of the base name, without a leading `./`. */
  readonly key: string;
  readonly kind: 'image' | 'label' | 'other';
}

const IMAGE = /^(jpe?g|png|webp)$/i;

/** @returns undefined for a name without a key: no dot, or one that begins with a dot (macOS puts `._x.jpg` into tars) */
export function memberName(path: string): MemberName | undefined {
  const [, key, extension = ''] = /^(?:\.\/)*((?:.*\/)?[^./][^./]*)\.([^/]*)$/s.exec(path) ?? [];
  if (key === undefined) return undefined;
  return {
    key,
    kind: IMAGE.test(extension) ? 'image' : /^cls$/i.test(extension) ? 'label' : 'other',
  };
}

/** No photograph comes near it, a damaged size field may: above it the content is skipped and not kept. */
export const MAX_IMAGE_BYTES = 256 << 20;
/** A class index has a few digits. */
export const MAX_LABEL_BYTES = 64;

/** @returns the class index, or undefined for text that is not a whole number */
export function parseLabel(text: string): number | undefined {
  const value = Number(text);
  return /^\s*-?\d+\s*$/.test(text) && Number.isSafeInteger(value) ? value : undefined;
}
