/** What was found: raw numbers and their summary. */
import { readFileSync } from 'node:fs';
import { CLASSES } from '../../dist/synth/classes.js';
import { ARMS, BASELINE } from './arms.mjs';
import { claimed } from './claims.mjs';
import { deviation, mean, pairedDifference } from './statistics.mjs';

/** @param machine before anything was measured: its load is that of others */
export function makeReport({ arms, settings, search, runs, colour, machine }) {
  const valuesOf = (arm) => runs.filter((run) => run.arm === arm);
  const failed = runs.filter(({ numbers }) => !numbers);
  if (failed.length > 0)
    throw new Error(`the loss of ${failed.map(({ arm, seed }) => `${arm}, seed ${seed}`).join('; ')} was no number: give lower rates`);
  const names = Object.keys(runs[0].numbers);
  const summary = Object.fromEntries(
    arms.map((arm) => [arm, Object.fromEntries(names.map((name) => [name, summarise(valuesOf(arm), valuesOf(BASELINE), name)]))]),
  );
  return {
    summary,
    claims: claimed(summary),
    chance: 1 / CLASSES.length,
    colour,
    search,
    settings,
    /** All that there were, trained or not. */
    arms: Object.keys(ARMS),
    seeds: Object.fromEntries(arms.map((arm) => [arm, valuesOf(arm).length])),
    machine,
    versions: {
      node: process.version,
      detco: JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')).version,
      engine: runs[0].engine,
    },
    date: new Date().toISOString(),
    runs,
  };
}

function summarise(runs, baseline, name) {
  const values = runs.map(({ numbers }) => numbers[name]);
  const others = runs.map(({ seed }) => baseline.find((one) => one.seed === seed).numbers[name]);
  return {
    mean: mean(values),
    ...(values.length > 1 && { deviation: deviation(values) }),
    ...(runs !== baseline && runs[0].arm !== BASELINE && { toBaseline: pairedDifference(values, others) }),
  };
}
