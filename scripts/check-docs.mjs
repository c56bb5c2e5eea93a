/**
 * Checks the pages: links, languages and marks of code blocks, and, unless `--no-run`, that each block runs.
 *
 *     node scripts/check-docs.mjs [--no-run] [--only PAGE]... [--keep] [--root CLONE]
 *
 * CONTRIBUTING.md says how a block is marked that cannot be run.
 */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { brokenLinks, unlistedPages } from './docs/links.mjs';
import { NOT_CODE, readPage } from './docs/page.mjs';
import { BlockError, linkEntries, makeClone, runBlocks } from './docs/run.mjs';

const { values } = parseArgs({
  options: {
    'no-run': { type: 'boolean', default: false },
    only: { type: 'string', multiple: true },
    keep: { type: 'boolean', default: false },
    root: { type: 'string', default: dirname(dirname(fileURLToPath(import.meta.url))) },
  },
});

const ROOT = resolve(values.root);
process.chdir(ROOT);
const git = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
const files = execFileSync('git', git, { encoding: 'utf8' })
  .split('\0')
  .filter((file) => file !== '' && existsSync(file));
const withFolders = new Set(files.flatMap((file) => file.split('/').map((_, depth, parts) => parts.slice(0, depth + 1).join('/'))));
const pages = files.filter((file) => /^(\w+\.md|docs\/.*\.md|examples\/.*\.md)$/.test(file)).map((path) => readPage(ROOT, path));
const unknown = values.only?.find((name) => !pages.some(({ path }) => path === name));
if (unknown !== undefined) fail([`--only "${unknown}": expected one of ${pages.map(({ path }) => path).join(', ')}`]);

const faults = [...pages.flatMap((page) => page.faults), ...brokenLinks(pages, withFolders), ...unlistedPages(pages, 'README.md')];
if (faults.length > 0) fail(faults);
const chosen = pages.filter(({ path }) => values.only?.includes(path) ?? true);
const toRun = (page) => page.blocks.filter(({ language, reason }) => !NOT_CODE.has(language) && reason === undefined);
if (values['no-run']) process.exit(0);

const work = await mkdtemp(join(tmpdir(), 'detco-docs-'));
const clone = join(work, 'clone');
await makeClone(ROOT, clone, files);
const failures = [];
// Pages with most to run first, so that the last to end is a short one.
const waiting = chosen.toSorted((a, b) => toRun(b).length - toRun(a).length);
await Promise.all(
  Array.from({ length: Math.min(2, availableParallelism()) }, async () => {
    for (let page = waiting.shift(); page !== undefined; page = waiting.shift()) await check(page);
  }),
);
if (values.keep) console.log(`left in ${work}`);
else await rm(work, { recursive: true });
count();
if (failures.length > 0) fail(failures);

async function check(page) {
  const began = performance.now();
  const blocks = toRun(page);
  const folder = join(work, page.path.replaceAll(/\W/g, '-'));
  let ended = '';
  try {
    if (blocks.length > 0) {
      await linkEntries(clone, folder);
      await runBlocks(blocks, folder);
    }
  } catch (error) {
    failures.push(error instanceof BlockError ? error.message : `${page.path}: ${error.stack}`);
    ended = '; FAILED';
  }
  if (!values.keep) await rm(folder, { recursive: true, force: true });
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  console.log(`${page.path}: ${tally(page.blocks)}${blocks.length > 0 ? `; ${seconds} s` : ''}${ended}`);
}

function tally(blocks) {
  const text = blocks.filter(({ language }) => NOT_CODE.has(language)).length;
  const marked = blocks.filter(({ reason }) => reason !== undefined).length;
  const types = blocks.filter(({ typesOnly }) => typesOnly !== undefined).length;
  return `${blocks.length - text - marked - types} run, ${types} checked for types, ${marked} not run, ${text} text`;
}

function count() {
  const blocks = chosen.flatMap((page) => page.blocks);
  const reasons = new Map();
  for (const { reason, typesOnly = reason } of blocks) {
    if (typesOnly !== undefined) reasons.set(typesOnly, (reasons.get(typesOnly) ?? 0) + 1);
  }
  console.log(`${chosen.length} pages, ${blocks.length} blocks: ${tally(blocks)}`);
  for (const [reason, times] of reasons) console.log(`  ${times} x ${reason}`);
}

function fail(messages) {
  for (const message of messages) console.error(message);
  process.exit(1);
}
