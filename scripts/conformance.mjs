/**
 * Runs the test suite that TensorFlow.js ships with @tensorflow/tfjs-core on an engine of ours.
 *
 *   node scripts/conformance.mjs --engine NAME [--device DEVICE] [--precision fp32|tf32|bf16] [--filter REGEX] [--exclude REGEX] [--trace] [--json]
 *   node scripts/conformance.mjs --pack FILE
 *
 * `--filter` keeps the tests whose full name matches. `--exclude` takes the place of the engine's list of tests that are known to
 * fail, conformance/exclusions.mjs. `--trace` prints each name before its test runs. `--pack` writes the suite and the engines as one
 * script for a machine without npm, to be run there as `DETCO_DIST=<package>/dist node FILE --engine NAME ...`.
 *
 * The suite runs in a process of its own, so that a crash in native code is a result too: it names the test.
 * Exit code 0: no failure and no stale exclusion; 1: some; 2: unusable arguments.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

const USAGE = `usage: node scripts/conformance.mjs --engine NAME [--device DEVICE] [--precision fp32|tf32|bf16]
         [--filter REGEX] [--exclude REGEX] [--trace] [--json]
       node scripts/conformance.mjs --pack FILE`;

if (!existsSync(new URL('../dist/engine/index.js', import.meta.url))) refuse('dist/ is not built: run `npm run build` first');
const { inspectEngines } = await import('../dist/engine/index.js');
const { bundle } = await import('./conformance/bundle.mjs');

const values = parse();
if (values.pack !== undefined) {
  await bundle(values.pack);
} else {
  await checkEngine(values.engine);
  const folder = mkdtempSync(join(tmpdir(), 'detco-conformance-'));
  try {
    process.exitCode = await run(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function run(folder) {
  const script = join(folder, 'suite.mjs');
  const current = join(folder, 'current');
  await bundle(script);
  const { status, signal, error } = spawnSync(process.execPath, [script, ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, DETCO_CONFORMANCE_CURRENT: current },
  });
  if (error !== undefined) throw error;
  if (status === 0 || status === 1 || status === 2) return status;
  const during = existsSync(current) ? `in "${readFileSync(current, 'utf8').trim()}"` : 'before the first test';
  console.error(`conformance: the process ended ${during} with ${signal ?? `exit code ${status}`}`);
  return 1;
}

function parse() {
  try {
    const { values } = parseArgs({
      options: {
        engine: { type: 'string' },
        device: { type: 'string' },
        precision: { type: 'string' },
        filter: { type: 'string' },
        exclude: { type: 'string' },
        trace: { type: 'boolean' },
        json: { type: 'boolean' },
        pack: { type: 'string' },
      },
    });
    if ((values.engine === undefined) === (values.pack === undefined)) throw new Error('expected --engine NAME or --pack FILE');
    for (const pattern of [values.filter, values.exclude]) if (pattern !== undefined) RegExp(pattern);
    return values;
  } catch (error) {
    return refuse(error.message);
  }
}

/** Says why an engine cannot run before time is spent on the suite. */
async function checkEngine(name) {
  const reports = await inspectEngines();
  const report = reports.find((report) => report.name === name);
  if (report === undefined) refuse(`unknown engine "${name}": expected ${reports.map(({ name }) => name).join(', ')}`);
  if (!report.available) refuse(`engine "${name}" is not available: ${report.reason}; ${report.remedy}`);
}

function refuse(message) {
  console.error(`conformance: ${message}\n${USAGE}`);
  process.exit(2);
}
