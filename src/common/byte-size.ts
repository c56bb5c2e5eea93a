/**
 * Amounts of bytes as people write them, in the units of GNU coreutils (`dd`, `sort -S`, `du -B`): `200G` and `200GiB` are powers
 * of 1024, as in docker and rclone, `200GB` is a power of 1000, and a number alone is bytes.
 */

const LETTERS = ['K', 'M', 'G', 'T', 'P'] as const;

/** Bytes of each unit, by its name in capitals. */
const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['B', 1],
  ...LETTERS.flatMap((letter, index): [string, number][] => [
    [letter, 1024 ** (index + 1)],
    [`${letter}I`, 1024 ** (index + 1)],
    [`${letter}IB`, 1024 ** (index + 1)],
    [`${letter}B`, 1000 ** (index + 1)],
  ]),
]);

/**
 * @returns whole bytes
 * @throws RangeError quoting the value
 */
export function parseByteSize(value: string | number): number {
  const [, digits = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(String(value)) ?? [];
  const bytes = Math.floor(Number(digits || NaN) * (UNITS.get(unit.toUpperCase()) ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new RangeError(`"${value}" is no amount of bytes; expected for example 200G (powers of 1024), 200GB (of 1000) or 200000000000`);
}

const NAMES = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `4.1 MB`, `138 MB`: powers of 1000. */
export function formatByteSize(bytes: number): string {
  const unit = Math.min(NAMES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** unit;
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${NAMES[unit]}`;
}
