/** Numbers for people. */

/** `31 %`, and below a tenth `3.1 %`. */
export function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 && share > 0 ? 1 : 0)} %`;
}

/** Three digits are as many as a measurement has. */
export function rate(value: number): string {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toString();
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `0.12 ms`, `41 ms`, `3.2 s`. */
export function msText(ms: number): string {
  if (ms === 0) return '0 ms';
  if (ms >= 9995) return `${(ms / 1000).toFixed(0)} s`;
  if (ms >= 999.5) return `${(ms / 1000).toFixed(1)} s`;
  if (ms >= 9.95) return `${ms.toFixed(0)} ms`;
  return `${ms >= 0.995 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}
