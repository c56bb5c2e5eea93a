/** What was found as a table for a terminal, and how its numbers are written. */
import { counted } from '../../dist/common/counted.js';
import { ARMS, BASELINE } from './arms.mjs';
import { inWords } from './claims.mjs';

/** Of the table and the plot. */
export const HEADLINES = {
  'knn.res5': 'kNN, res5',
  'linear.res5': 'linear, res5',
  'cells.res3': 'cells, res3',
  'cells.res4': 'cells, res4',
  ap50: 'AP50',
};

export const digits = (value) => value.toFixed(3);
const signed = (value) => `${value < 0 ? '-' : '+'}${digits(Math.abs(value))}`;
export const spread = ({ mean: middle, deviation: of }) => (of === undefined ? digits(middle) : `${digits(middle)} ± ${digits(of)}`);

/** A difference and its interval, where there is one. */
export function difference({ mean: middle, interval }) {
  return interval ? `${signed(middle)} (${interval.map(signed).join(' to ')})` : signed(middle);
}

/** A row for each arm: its title, and `cell` of each of the numbers. */
export function rowsOf(summary, names, cell) {
  return Object.entries(summary).map(([arm, numbers]) => [ARMS[arm].title].concat(names.map((name) => cell(numbers[name]))));
}

/** For a terminal. */
export function table(report) {
  const rows = rowsOf(report.summary, Object.keys(HEADLINES), spread);
  return [
    ...aligned([['', ...Object.values(HEADLINES)], ...rows]).map((row) => row.join('  ')),
    '',
    `chance ${digits(report.chance)}, linear on colours alone ${digits(report.colour)}; mean and standard deviation of ${counted(report.seeds[BASELINE], 'seed')}`,
    '',
    ...inWords(report.claims),
  ].join('\n');
}

/** In Markdown, the first columns to the left. */
export function markdown(header, rows, left = 1) {
  const [head, ...body] = aligned([header, ...rows], left);
  const rule = head.map(({ length }, column) => (column < left ? '-'.repeat(length) : `${'-'.repeat(length - 1)}:`));
  return [head, rule, ...body].map((cells) => `| ${cells.join(' | ')} |`).join('\n');
}

/** Fills each cell to the width of its column. */
function aligned(rows, left = 1) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
  return rows.map((row) => row.map((cell, column) => (column < left ? cell.padEnd(widths[column]) : cell.padStart(widths[column]))));
}
