/**
 * Replays golden files of PyTorch statements (bench/peers) on an engine and prints the largest error of each group.
 *
 *   npm run golden -- FILE... [--engine auto|wasm|tensorflow|torch] [--precision fp32|tf32|bf16] [--device NAME] [--json]
 *
 * Of several processes with the variables of torchrun (RANK, WORLD_SIZE, ...) each takes its share of the batch; the engine is torch then.
 *
 * tf32 and bf16 are held to looser tolerances than fp32. With --json there is a line of JSON for each file.
 * Exit code 0: within tolerance; 1: not; 2: unusable arguments.
 */
import { existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const USAGE =
  'usage: npm run golden -- FILE... [--engine auto|wasm|tensorflow|torch] [--precision fp32|tf32|bf16] [--device auto|cpu|cuda|cuda:N] [--json]';

if (!existsSync(new URL('../dist/model/index.js', import.meta.url))) {
  refuse(new Error('dist/ is not built: run `npm run build` first'));
}
const { parseGolden } = await import('./golden/file.mjs');
const { replayGolden, tolerancesOf } = await import('./golden/replay.mjs');
const { ENGINE_NAMES, meet, selectEngine } = await import('../dist/engine/index.js');
const { readLaunch } = await import('../dist/train/launch.js');

const { goldens, engine, company, json } = await prepare().catch(refuse);
const say = json ? console.error : console.log;
say(`engine ${engine.name}: ${engine.description}; ${engine.precision} on ${engine.device}`);
const tolerances = tolerancesOf(engine.precision);
let agree = true;
for (const [file, golden] of goldens) agree = replay(file, golden) && agree;
await engine.dispose();
await company?.[Symbol.asyncDispose]();
process.exitCode = agree ? 0 : 1;

/** @returns whether it is within tolerance */
function replay(file, golden) {
  const { method, options, batch } = golden;
  say(`${method}, ${options.arch}, batch ${batch}, ${options.bnGroups} batch norm groups, ${golden.steps.length} steps`);
  const started = performance.now();
  const errors = replayGolden(engine, golden, (step, loss) => {
    say(`step ${step}: loss ${loss.toFixed(6)} (PyTorch ${golden.steps[step].loss.toFixed(6)})`);
  });
  const wrong = Object.keys(errors).filter((group) => !(errors[group] <= tolerances[group]));
  for (const [group, error] of Object.entries(errors)) {
    const exceeded = wrong.includes(group) ? '  EXCEEDED' : '';
    say(`${group.padEnd(16)} ${error.toExponential(2).padStart(9)}  tolerance ${tolerances[group]}${exceeded}`);
  }
  const ok = wrong.length === 0;
  say(`${ok ? 'within tolerance' : `out of tolerance: ${wrong.join(', ')}`}, ${((performance.now() - started) / 1000).toFixed(1)} s`);
  const { name, precision, device } = engine;
  if (json) console.log(JSON.stringify({ file, ok, engine: name, precision, device, groups: errors, tolerances }));
  return ok;
}

/** Arguments to a started engine and checked golden files; throws what makes them unusable. */
async function prepare() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      engine: { type: 'string', default: 'auto' },
      precision: { type: 'string', default: 'fp32' },
      device: { type: 'string', default: 'auto' },
      json: { type: 'boolean', default: false },
    },
  });
  if (positionals.length === 0) throw new Error('expected golden files, got none');
  const names = ['auto', ...ENGINE_NAMES];
  if (!names.includes(values.engine)) throw new Error(`unknown engine "${values.engine}": expected ${names.join(', ')}`);
  const goldens = positionals.map((file) => [file, readGolden(file)]);
  const { precision, device, json } = values;
  const place = readLaunch();
  const company = place && (await meet(place));
  return { goldens, engine: await selectEngine(values.engine, { precision, device, company }), company, json };
}

function readGolden(file) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new Error(`cannot read the golden file "${file}": ${error.message}`, { cause: error });
  }
  try {
    return parseGolden(text);
  } catch (error) {
    throw new Error(`"${file}": ${error.message}; expected a file that a script of bench/peers wrote`, { cause: error });
  }
}

function refuse(error) {
  console.error(`golden: ${error.message}\n${USAGE}`);
  process.exit(2);
}
