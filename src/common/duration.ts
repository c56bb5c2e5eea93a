/** Spans of time for people. */

const MINUTE = 60;
const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
const YEAR = 365.25 * DAY;

/** `4d03h`, `1h02m`, `3m05s`, `12s`; `?` when unknown. */
export function formatDuration(seconds: number | undefined): string {
  if (seconds === undefined || !Number.isFinite(seconds)) return '?';
  const whole = Math.round(seconds);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  if (whole >= 2 * DAY) return `${Math.floor(whole / DAY)}d${two((whole % DAY) / HOUR)}h`;
  if (whole >= HOUR) return `${Math.floor(whole / HOUR)}h${two((whole % HOUR) / MINUTE)}m`;
  return whole >= MINUTE ? `${Math.floor(whole / MINUTE)}m${two(whole % MINUTE)}s` : `${whole}s`;
}

const UNITS = [
  ['years', YEAR],
  ['days', DAY],
  ['hours', HOUR],
  ['minutes', MINUTE],
] as const;

/** `41 years`, `12 days`, `3 hours`: the largest unit of which there are at least two. */
export function durationInWords(seconds: number): string {
  const [unit, length] = UNITS.find(([, span]) => seconds >= 2 * span) ?? ['seconds', 1];
  return `${Math.round(seconds / length)} ${unit}`;
}
