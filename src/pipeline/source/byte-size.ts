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

/** `137.8 MB`: at most four digits, powers of 1000. */
export function formatByteSize(bytes: number): string {
  const units = ['bytes', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  let value = bytes;
  for (; value >= 1000 && unit < units.length - 1; unit++) value /= 1000;
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}
