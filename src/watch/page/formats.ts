/** Numbers as people read them, with their units. */

/** `value` with so many digits that count, and no exponent. */
const digits = (value: number, count: number): string => String(Number(value.toPrecision(count)));

export const plain = (value: number): string =>
  value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6) ? value.toExponential(2) : digits(value, 4);

export const rate = (value: number): string => digits(value, 3);

export const percent = (share: number): string => `${share > 0 && share < 1e-4 ? '< 0.01' : digits(100 * share, 3)} %`;

export const milliseconds = (value: number): string => (value < 1000 ? `${digits(value, 3)} ms` : `${digits(value / 1000, 3)} s`);

export const bytes = (value: number): string => (value < 1e9 ? `${(value / 1e6).toFixed(0)} MB` : `${(value / 1e9).toFixed(2)} GB`);
