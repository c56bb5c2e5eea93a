/** A value in an error message. */

/** As JSON, with a name for what JSON would call null or leave out: `NaN`, `Infinity`, `undefined`, a function. */
export function quoted(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return JSON.stringify(value) ?? typeof value;
}
