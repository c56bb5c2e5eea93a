/** Amounts of bytes as people write them: `200GB` (powers of 1000), `1.5TiB` (powers of 1024), a plain number of bytes. */

const UNITS: Readonly<Record<string, number>> = {
  '': 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/**
 * @returns whole bytes
 * @throws RangeError quoting the value
 */
export function parseByteSize(value: string | number): number {
  const [, digits = '', unit = ''] = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(String(value)) ?? [];
  const bytes = Math.floor(Number(digits || NaN) * (UNITS[unit.toUpperCase()] ?? NaN));
  if (Number.isSafeInteger(bytes) && bytes > 0) return bytes;
  throw new RangeError(`"${value}" is no amount of bytes; expected for example 200GB, 1.5TiB or 200000000000`);
}

const NAMES = ['B', 'kB', 'MB', 'GB', 'TB'] as const;

/** `4.1 MB`, `138 MB`: powers of 1000. */
export function formatByteSize(bytes: number): string {
  const unit = Math.min(NAMES.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes)) / 3)));
  const value = bytes / 1000 ** unit;
  return `${value.toFixed(unit === 0 || value >= 100 ? 0 : 1)} ${NAMES[unit]}`;
}
