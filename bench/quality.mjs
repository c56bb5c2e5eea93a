/**
 * What DetCo claims, tested small: methods trained on the same pictures with the same network and updates, and what the frozen backbones are
 * worth for classification and for localisation. Needs a build.
 *
 *     npm run bench:quality -- [--quick] [--as-it-is] [--json] [--out DIR] [--work DIR] [--arms moco,detco] [--seeds 5] [--jobs CORES] [--engine torch]
 *         [--updates N] [--seconds] [--images N] [--queue-size K] [--levels 0.1,0.4,0.7,1] [--photo]
 *     npm run bench:quality -- --page [--out DIR]
 *
 * Each arm takes the best of three learning rates or more, by kNN on images that the report does not use. Then all arms are trained, seed by seed, so
 * that a run that is cut is balanced. What is done is kept in the work folder: the same command goes on, and with `--as-it-is` it trains nothing
 * more and reports on the seeds that are there. The second line of options varies what may decide the outcome; each variation needs a work folder
 * of its own. With `--seconds` each arm makes so many updates as take as long as those of MoCo v2, by the pace of the search. `--page` trains nothing: it writes the page and the plot of what is kept in bench/results.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readArguments } from './quality/arguments.mjs';
import { ARMS, BASELINE } from './quality/arms.mjs';
import { makeData } from './quality/data.mjs';
import { Display } from '../dist/common/display.js';
import { machine } from './pipeline/report.mjs';
import { Results, runJobs } from './quality/jobs.mjs';
import { makeReport } from './quality/report.mjs';
import { best, rateBeyond } from './quality/rates.mjs';
import { median } from './quality/statistics.mjs';
import { keepReport, writePage } from './quality/results.mjs';
import { table } from './quality/table.mjs';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const DOCS = join(ROOT, 'docs');
const RESULTS = join(ROOT, 'bench', 'results');
/** No run of the report begins with it. */
const SEARCH_SEED = 1000;

const display = new Display(process.stderr);
const log = (text) => text.split('\n').forEach((line) => display.print(line));
const { json, asItIs, pageOnly, out, work, arms, seeds, atOnce, engine, settings } = await readArguments().catch((error) => {
  log(error.message);
  process.exit(2);
});
if (pageOnly) {
  await writePage(out ?? DOCS, RESULTS).then(log, (error) => {
    log(error.message);
    process.exitCode = 1;
  });
  process.exit();
}
await keepSettings();
const where = machine();

const controller = new AbortController();
for (const name of ['SIGINT', 'SIGTERM'])
  process.once(name, () => {
    controller.abort();
    display.end(true);
    log(`${name}: the same command goes on from here`);
    process.exit(130);
  });
const common = { shards: await makeData(join(work, 'data'), settings, log), settings, engine };
const running = { common, results: new Results(join(work, 'jobs')), atOnce, signal: controller.signal, display };

/** The results of jobs, as far as they are to be done. */
const perform = (jobs) => (asItIs ? Promise.all(jobs.map(({ id }) => running.results.get(id))) : runJobs(jobs, running));

const search = await searchRates();
const runs = await trainAll();
if (runs.length === 0) {
  log(`--as-it-is: no seed of ${BASELINE} is done in ${work}; leave it out`);
  process.exit(2);
}
const [colour] = await runJobs([{ id: 'colour', kind: 'colour', seed: 0 }], running);
const report = makeReport({
  arms: arms.filter((arm) => runs.some((run) => run.arm === arm)),
  settings,
  search,
  runs,
  colour: colour.linear,
  machine: where,
});
const raw = await keepReport(out ?? RESULTS, report);
log(`${await writePage(out ?? DOCS, out ?? RESULTS)}, ${raw}`);
(json ? log : console.log)(table(report));
if (json) console.log(JSON.stringify(report));

/** @returns by arm the rate that was chosen, what kNN made of each, and the seconds of an update */
async function searchRates() {
  const { rates, widenings, seconds } = settings;
  const trained = arms.filter((arm) => ARMS[arm].trained !== false);
  if (rates.length === 1 && !seconds) return Object.fromEntries(trained.map((arm) => [arm, { rate: rates[0], scores: [] }]));
  const tried = new Map(trained.map((arm) => [arm, []]));
  await tryRates(tried, () => rates);
  for (let times = 0; times < widenings; times++) await tryRates(tried, rateBeyond);
  return Object.fromEntries(
    Array.from(tried, ([arm, found]) => {
      const scores = found.map(({ rate, knn }) => ({ rate, knn }));
      return [arm, { rate: best(scores)?.rate, scores, updateSeconds: median(found.map(({ updateSeconds }) => updateSeconds)) }];
    }),
  );
}

/** Adds to what was tried of each arm, from low to high, the rates that follow from it. */
async function tryRates(tried, choose) {
  const { searchUpdates } = settings;
  const jobs = Array.from(tried).flatMap(([arm, found]) =>
    choose(found).map((rate) => ({ id: `search-${arm}-${rate}`, kind: 'search', arm, rate, seed: SEARCH_SEED, updates: searchUpdates })),
  );
  const found = await perform(jobs);
  for (const [at, { arm, rate }] of jobs.entries()) if (found[at]) tried.get(arm).push({ rate, ...found[at] });
  for (const ofArm of tried.values()) ofArm.sort((a, b) => a.rate - b.rate);
}

/** @returns what each seed of each arm is worth */
async function trainAll() {
  const jobs = Array.from({ length: seeds }, (_, at) => at + 1).flatMap((seed) =>
    arms.map((arm) => ({ id: `run-${arm}-${seed}`, kind: 'run', arm, rate: search[arm]?.rate, seed, updates: updatesOf(arm) })),
  );
  const found = await perform(jobs);
  const done = jobs.flatMap(({ arm, seed, rate }, at) => (found[at] ? [{ arm, seed, rate, ...found[at] }] : []));
  // Without its pair a run says nothing of a difference.
  const paired = new Set(done.flatMap(({ arm, seed }) => (arm === BASELINE ? [seed] : [])));
  return done.filter(({ seed }) => paired.has(seed));
}

function updatesOf(arm) {
  if (ARMS[arm].trained === false) return 0;
  if (!settings.seconds) return settings.updates;
  return Math.max(1, Math.round((settings.updates * search[BASELINE].updateSeconds) / search[arm].updateSeconds));
}

/** Results of other settings or other code are not to be mixed with these. */
async function keepSettings() {
  const path = join(work, 'settings.json');
  const text = `${JSON.stringify({ engine, code: await codeSum(), ...settings }, undefined, 1)}\n`;
  const earlier = await readFile(path, 'utf8').catch(() => undefined);
  if (earlier !== undefined && earlier !== text) {
    log(`${path} is of other settings or of other code: name another folder with --work, or remove ${work}`);
    process.exit(2);
  }
  await mkdir(work, { recursive: true });
  await writeFile(path, text);
}

/** Of all that trains and measures. */
async function codeSum() {
  const sum = createHash('sha256');
  for (const folder of ['dist', join('bench', 'quality')]) {
    const entries = await readdir(join(ROOT, folder), { recursive: true, withFileTypes: true });
    const files = entries.flatMap((entry) => (/\.(js|mjs|wasm)$/.test(entry.name) ? [join(entry.parentPath, entry.name)] : []));
    for (const file of files.toSorted()) sum.update(file.slice(ROOT.length)).update(await readFile(file));
  }
  return sum.digest('hex').slice(0, 16);
}
