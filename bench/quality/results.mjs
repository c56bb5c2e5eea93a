/** Raw results that are kept, and the page and the plot that are made of nothing else. */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join, relative, sep } from 'node:path';
import { page } from './page.mjs';
import { plot } from './plot.mjs';
import { readReport } from './stored-report.mjs';

const MAIN = /^quality-\d[\d-]*\.json$/;
const VARIATION = /^quality-[a-z].*\.json$/;

/** @returns the path of the raw numbers */
export async function keepReport(dir, report) {
  const path = join(dir, `quality-${report.date.slice(0, 10)}.json`);
  await mkdir(dir, { recursive: true });
  await writeFile(path, `${JSON.stringify(report, undefined, 1)}\n`);
  return path;
}

/**
 * Writes `quality.md` and `quality.svg` of the newest `quality-DATE.json` of a folder and of each variation that is kept there,
 * `quality-NAME-DATE.json`.
 *
 * @returns the path of the page
 * @throws Error that names the file, for one that is no report; nothing is written then
 */
export async function writePage(dir, results) {
  const names = (await readdir(results)).toSorted();
  const newest = names.findLast((name) => MAIN.test(name));
  if (newest === undefined) throw new Error(`${results}: expected quality-DATE.json, the results of a comparison`);
  const read = async (name) => {
    const path = join(results, name);
    return { raw: relative(dir, path).replaceAll(sep, '/'), report: await readReport(path) };
  };
  const main = await read(newest);
  const variations = await Promise.all(names.filter((name) => VARIATION.test(name)).map(read));
  const without = variations.find(({ report }) => !report.summary.detco);
  if (without)
    throw new Error(
      `${without.raw}: a variation has the arms moco and detco at least; this one has ${Object.keys(without.report.summary).join()}`,
    );
  const path = join(dir, 'quality.md');
  const texts = [
    [join(dir, 'quality.svg'), plot(main.report)],
    [path, page(main, variations)],
  ];
  await mkdir(dir, { recursive: true });
  for (const [file, text] of texts) await writeFile(file, text);
  return path;
}
