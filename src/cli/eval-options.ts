/** Options of `detco eval`: those that all evaluations have, and each one's own. */
import { type Command, Option } from 'commander';
import { z } from 'zod';
import { oneOf } from '../common/one-of.js';
import { optionFlags } from '../common/option-flags.js';
import { engineShape } from '../engine/options.js';
import { PROTOCOL_NAMES } from '../eval/linear-protocols.js';
import { ENCODERS } from '../interop/index.js';
import { ARCHITECTURE_NAMES, LAST_STAGE, type Stage, STAGES } from '../model/network/architecture.js';
import { GLOBAL_SIZE, MOST_GLOBAL_SIDE } from '../pipeline/augment/recipes.js';
import { batchingShape, readingShape } from '../pipeline/run-options.js';
import { addFieldOptions, fieldShape } from './fields.js';
import { numberText, positive, whole } from './number.js';

const MOST_IMAGES = 1_000_000_000;
const ALL = 'all';

const file = (example: string) => z.string().min(1, `expected a file; give for example ${example}`).optional();

const stages = z
  .string()
  .refine((text) => text === ALL || text.split(',').every((name) => (STAGES as readonly string[]).includes(name)), {
    error: `expected ${ALL}, or some of ${STAGES.join(',')} with commas between; give for example --stages ${STAGES.slice(-2).join(',')}`,
  })
  .transform((text): readonly Stage[] => STAGES.filter((stage) => text === ALL || text.split(',').includes(stage)));

const costs = z
  .string()
  .transform((text) => text.split(',').map(Number))
  .refine((values) => values.every((value) => value > 0 && value < 1e9), {
    error: 'expected numbers above 0 with commas between; give for example --costs 0.01,0.1,1',
  });

/** Of all evaluations. */
const shape = {
  checkpoint: z.string().min(1, 'expected a folder, a file, or random; give for example --checkpoint runs/first'),
  shards: z.array(z.string()).min(1),
  stages,
  encoder: oneOf(ENCODERS),
  preset: z.string().min(1, 'expected a preset; give for example --preset tiny').optional(),
  arch: oneOf(ARCHITECTURE_NAMES).optional(),
  globalSize: whole(1, MOST_GLOBAL_SIDE, '--global-size 224').optional(),
  limit: whole(1, MOST_IMAGES, '--limit 10000').optional(),
  block: whole(1, 4096, '--block 64'),
  seed: whole(0, 0xffff_ffff, '--seed 1'),
  engine: engineShape.engine,
  precision: engineShape.precision,
  device: engineShape.device,
  threads: numberText(engineShape.threads, '--threads 2').optional(),
  workers: numberText(batchingShape.workers, '--workers 8').optional(),
  cacheDir: readingShape.cacheDir,
  ...fieldShape,
  out: file('--out results.json'),
  name: z.string().min(1, 'expected a name; give for example --name knn-pets').optional(),
  json: z.boolean().default(false),
};

/** Of those that judge by labels. */
const labelled = {
  ...shape,
  valShards: z.array(z.string()).min(1),
  shuffleLabels: z.boolean().default(false),
};

export const evalSchemas = {
  knn: z.object({
    ...labelled,
    k: whole(1, MOST_IMAGES, '--k 20').optional(),
    temperature: positive(1000, '--temperature 0.1').optional(),
    confusion: file('--confusion confusion.png'),
    neighbours: file('--neighbours neighbours.png'),
  }),
  linear: z.object({
    ...labelled,
    protocol: oneOf(PROTOCOL_NAMES),
    cached: z.boolean().default(false),
    lr: positive(1e9, '--lr 0.1').optional(),
    epochs: whole(1, 1_000_000, '--epochs 100').optional(),
    batch: whole(1, 1_000_000, '--batch 256').optional(),
    classes: whole(2, 100_000, '--classes 1000').optional(),
    confusion: file('--confusion confusion.png'),
  }),
  svm: z.object({
    ...labelled,
    classesField: z.string().min(1, 'expected a field; give for example --classes-field classes.json').optional(),
    costs: costs.optional(),
  }),
  rank: z.object(shape),
};

export type EvalName = keyof typeof evalSchemas;
export type CommonOptions = z.output<typeof evalSchemas.rank>;
export type LabelledOptions = z.output<typeof evalSchemas.knn> | z.output<typeof evalSchemas.linear> | z.output<typeof evalSchemas.svm>;

/** Those that are given before the evaluation's own. */
export function addDataOptions(command: Command, judges: boolean): Command {
  command
    .requiredOption('--checkpoint <path>', "a run's folder, one of its checkpoints, a folder of detco import, a file of weights, or random")
    .requiredOption(
      '--shards <spec...>',
      judges ? 'training images: paths, braces, globs, http(s):// or s3:// URLs' : 'images: paths, braces, globs, http(s):// or s3:// URLs',
    );
  if (!judges) return command;
  return command
    .requiredOption('--val-shards <spec...>', 'images that are judged')
    .option('--shuffle-labels', "give the images each other's labels: what is above chance then is a fault");
}

/** Those that are given after them. */
export function addCommonOptions(command: Command): Command {
  command
    .option('--stages <list>', `${ALL}, or some of ${STAGES.join(',')}`, LAST_STAGE)
    .option('--encoder <name>', 'query, or key: the momentum encoder', 'query')
    .option('--preset <name>', 'of random: the network and the size of its images (default: detco-r50)')
    .option('--arch <name>', `of random: ${ARCHITECTURE_NAMES.join(', ')}`)
    .option('--global-size <pixels>', `side of the crops (default: what the run was trained on; ${GLOBAL_SIZE} of weights that do not say)`)
    .option('--limit <n>', 'training and validation images at most; of linear without --cached the latter alone (default: all)')
    .option('--seed <n>', 'of what is drawn', '0')
    .option('--block <n>', 'images that go through the network at once', '64');
  const { engine, precision, device, threads } = engineShape;
  for (const schema of [engine, precision, device, threads, batchingShape.workers, readingShape.cacheDir]) {
    const { flag, help } = optionFlags.get(schema) ?? {};
    if (flag) command.option(flag, help);
  }
  addFieldOptions(command);
  return command
    .addOption(new Option('--out <file>', 'where the results are kept (default: eval.json beside the checkpoint)'))
    .option('--name <name>', 'under which they are kept there (default: that of the evaluation)')
    .option('--json', 'print the result as one JSON object');
}
