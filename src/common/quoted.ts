/** A value in an error message. */
import { printable } from './printable.js';

/** As JSON that a terminal shows and does not obey, with a name for what JSON would call null or leave out: `NaN`, `Infinity`, `undefined`, a function. */
export function quoted(value: unknown): string {
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  const json = JSON.stringify(value) as string | undefined;
  return json === undefined ? typeof value : printable(json);
}
