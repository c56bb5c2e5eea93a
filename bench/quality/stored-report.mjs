/** Reports as they lie in a folder: written earlier, by hand or half. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { STAGES } from '../../dist/model/index.js';
import { ARMS, BASELINE } from './arms.mjs';
import { HEADLINES } from './table.mjs';

const NUMBERS = [...['knn', 'linear', 'rank'].flatMap((kind) => STAGES.map((stage) => `${kind}.${stage}`)), ...Object.keys(HEADLINES)];
const eachNumber = (value) => z.looseObject(Object.fromEntries(NUMBERS.map((name) => [name, value])));
const byArm = (value) => z.partialRecord(z.enum(Object.keys(ARMS)), value);

const count = z.int().nonnegative();
const difference = z.looseObject({ mean: z.number(), interval: z.tuple([z.number(), z.number()]).optional() });
const found = z.looseObject({ mean: z.number(), deviation: z.number().optional() });

/** What the page and the plot take from a report. */
const reportSchema = z
  .looseObject({
    summary: byArm(eachNumber(found.extend({ toBaseline: difference.optional() }))),
    claims: z.array(z.looseObject({ text: z.string(), main: z.boolean(), verdict: z.string(), difference })),
    chance: z.number(),
    colour: z.number(),
    search: byArm(z.looseObject({ rate: z.number() })),
    settings: z.looseObject({
      images: z.looseObject({ train: count, search: count, test: count }),
      ...Object.fromEntries(
        ['side', 'globalSize', 'patchSize', 'evaluationSize', 'batch', 'updates', 'searchUpdates'].map((name) => [name, count]),
      ),
      ...Object.fromEntries(['labelled', 'boxed', 'linearEpochs', 'cellEpochs', 'detectorEpochs'].map((name) => [name, count])),
      rates: z.array(z.number()).nonempty(),
      widenings: count.optional(),
      seconds: z.boolean().optional(),
    }),
    arms: z.array(z.string()).optional(),
    seeds: byArm(count),
    machine: z.looseObject({ cpu: z.string(), cores: count }),
    versions: z.looseObject({ node: z.string(), engine: z.string() }),
    date: z.string(),
    runs: z
      .array(
        z.looseObject({
          arm: z.string(),
          seed: count,
          numbers: eachNumber(z.number()),
          updates: count.optional(),
          trainSeconds: z.number().optional(),
        }),
      )
      .nonempty(),
  })
  .superRefine(({ summary, seeds, settings, runs }, context) => {
    const problem = (path, message) => context.addIssue({ code: 'custom', path, message });
    for (const arm of new Set([BASELINE, ...Object.keys(summary)])) {
      if (!summary[arm]) problem(['summary', arm], 'expected the arm that others are compared to');
      if (seeds[arm] === undefined) problem(['seeds', arm], 'expected the number of its seeds');
      const lacking = arm === BASELINE ? undefined : NUMBERS.find((name) => !summary[arm][name].toBaseline);
      if (lacking !== undefined) problem(['summary', arm, lacking], `expected its difference to ${BASELINE}, toBaseline`);
    }
    const paired = new Set(runs.flatMap(({ arm, seed }) => (arm === BASELINE ? [seed] : [])));
    const untold =
      settings.seconds && runs.find(({ arm, updates, trainSeconds }) => ARMS[arm]?.trained !== false && !(updates && trainSeconds));
    if (untold) problem(['runs'], `expected updates and trainSeconds of each run, for settings.seconds; ${untold.arm} lacks them`);
    const alone = runs.find(({ seed }) => !paired.has(seed));
    if (alone) problem(['runs'], `expected a run of ${BASELINE} with the seed of each other; ${alone.arm} has seed ${alone.seed} alone`);
  });

/** @throws Error that names the file and what is wrong with it */
export async function readReport(path) {
  const wrong = (problem, cause) =>
    new Error(`${path}: expected a report of bench:quality; ${problem}; write it anew, or move it away`, { cause });
  let value;
  try {
    value = JSON.parse(await readFile(path, 'utf8'));
  } catch (error) {
    throw wrong(`it cannot be read (${error.message})`, error);
  }
  const { success, error } = reportSchema.safeParse(value);
  if (success) return value;
  const [{ path: keys, message }] = error.issues;
  throw wrong(`${keys.length > 0 ? `${keys.join('.')}: ` : ''}${message}`, error);
}
