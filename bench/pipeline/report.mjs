/** What the reports of the benchmarks of the pipeline have in common. */
import { mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import sharp from 'sharp';

const RESULTS = join(dirname(dirname(fileURLToPath(import.meta.url))), 'results');

export const log = (text) => process.stderr.write(`${text}\n`);

/** @returns null when none is known */
export function median(numbers) {
  const known = numbers.filter((value) => value !== undefined).toSorted((a, b) => a - b);
  if (known.length === 0) return null;
  const middle = known.length >> 1;
  return known.length % 2 === 1 ? known[middle] : (known[middle - 1] + known[middle]) / 2;
}

/** A number, right-aligned in a column of nine; `-` for one that is not known. */
export function cell(value, digits = 0) {
  return (value === null || value === undefined ? '-' : value.toFixed(digits)).padStart(9);
}

/** Ask before anything is measured: its load is that of others. */
export function machine() {
  const load = loadavg();
  return { cpu: cpus()[0]?.model, cores: availableParallelism(), memoryGB: Math.round(totalmem() / 1e9), kernel: release(), load };
}

export function machineLine({ cpu, cores, load }) {
  return `${cpu}, ${cores} cores, load ${load.map((x) => x.toFixed(1)).join(' ')}, Node ${process.version}`;
}

export function versions(peer) {
  return { node: process.version, sharp: sharp.versions.sharp, libvips: sharp.versions.vips, mozjpeg: sharp.versions.mozjpeg, ...peer };
}

/** Keeps raw numbers as `results/NAME-DATE.json`. */
export async function keep(name, report) {
  const file = join(RESULTS, `${name}-${report.date.slice(0, 10)}.json`);
  await mkdir(dirname(file), { recursive: true });
  await writeFile(file, `${JSON.stringify(report, undefined, 1)}\n`);
  log(`raw numbers: ${relative(process.cwd(), file)}`);
}
