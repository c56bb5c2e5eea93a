/** `detco views` */
import { stat } from 'node:fs/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { oneOf } from '../common/one-of.js';
import { quoted } from '../common/quoted.js';
import { type Recipe, recipes } from '../pipeline/index.js';
import type { Pixels } from '../pipeline/preview/canvas.js';
import { contactSheet } from '../pipeline/preview/contact-sheet.js';
import { operationSheet } from '../pipeline/preview/operation-sheet.js';
import { OPERATION_NAMES, operationRange } from '../pipeline/preview/operations.js';
import { firstSamples, sampleWithKey, type SampleViews } from '../pipeline/preview/sample-views.js';
import { batchingShape } from '../pipeline/run-options.js';
import { withChoices } from './choices.js';
import { addFieldOptions, fieldShape, readFields } from './fields.js';
import { interruptible } from './interrupt.js';
import { MAX_PIXELS_FLAG, maxPixels } from './max-pixels.js';
import { numberText, whole } from './number.js';
import { assertFile, writeOutput } from './output.js';
import { addRecipeOptions, chosenRecipe, recipeShape } from './recipe-options.js';
import { asPipelineUsageError, parseOptions, UsageError } from './usage-error.js';
import { display, printJson, say } from './print.js';

const DEFAULT_IMAGES = 4;
/** The last epoch that a pipeline can run. */
const LAST_EPOCH = 0x7ffffffe;

const schema = z.object({
  shards: z.array(z.string()).min(1),
  out: z.string(),
  ...recipeShape,
  n: whole(1, 64, '--n 8').optional(),
  key: z.string().min(1, 'expected the key of a sample, such as --key 000017').optional(),
  op: z.array(oneOf(OPERATION_NAMES)).optional(),
  seed: numberText(batchingShape.seed, '--seed 1'),
  epoch: whole(0, LAST_EPOCH, '--epoch 3'),
  index: z.string().min(1, 'expected a folder; give for example --index shards/index').optional(),
  draft: z.boolean().optional(),
  maxPixels,
  ...fieldShape,
  json: z.boolean().default(false),
});

type Options = z.output<typeof schema>;

/** Flags that say nothing of a single operation. */
const OF_RECIPES = ['n', 'recipe', 'patchSize', 'localSize', 'crops', 'strength', 'randAugment'];

async function run(command: Command, signal: AbortSignal): Promise<void> {
  const options = parseOptions(schema, command.opts());
  const { out, key, n, op, index } = options;
  const idle = op && OF_RECIPES.find((name) => command.getOptionValueSource(name) === 'cli');
  if (idle !== undefined) {
    const flag = command.options.find((option) => option.attributeName() === idle)?.long;
    throw new UsageError(`${flag} with --op, which draws operations over ranges of their own, on one image: leave ${flag} out`);
  }
  if (index !== undefined && !(await stat(index).catch(() => undefined))?.isDirectory())
    throw new UsageError(
      `--index ${quoted(index)}: expected the folder of indexes that detco index has made; leave it out, and shards are read`,
    );
  if (key !== undefined && n !== undefined)
    throw new UsageError(`--n ${n} with --key ${key}, which is one sample: leave one of the two out`);
  await assertFile('--out', out, 'picture');
  await (op ? runOperations(options, op, signal) : runViews(options, signal)).catch(asPipelineUsageError({ batchSize: '--n' }));
}

async function runViews(options: Options, signal: AbortSignal): Promise<void> {
  const { out, maxPixels, json } = options;
  const drawn = await samplesOf(options, chosenRecipe(options), signal);
  const { canvas } = await contactSheet(drawn, { maxPixels });
  await writeOutput(out, await canvas.png());
  const views = Object.fromEntries(Object.entries(drawn.views).map(([name, { shape }]) => [name, shape.slice(1)]));
  if (json) printJson({ out, samples: drawn.samples, views, plans: drawn.plans });
  else say(`${out}: ${counted(drawn.samples.length, 'image')}, a row for each of ${Object.keys(views).join(', ')}`);
}

async function runOperations(options: Options, names: readonly string[], signal: AbortSignal): Promise<void> {
  const { out, globalSize, json } = options;
  // Operations have ranges of their own, whatever the recipe.
  const recipe = recipes.evaluation({ globalSize });
  const drawn = await samplesOf(options, recipe, signal);
  const image: Pixels = { width: globalSize, height: globalSize, data: drawn.views['image']?.data ?? new Uint8Array() };
  const [sample] = drawn.samples;
  const sheet = await operationSheet(image, [...new Set(names)], `${sample?.key}  centred, ${globalSize} x ${globalSize}`);
  await writeOutput(out, await sheet.canvas.png());
  const operations = Object.fromEntries(names.map((name) => [name, operationRange(name, globalSize)]));
  if (json) printJson({ out, sample, operations });
  else say(`${out}: ${names.join(', ')}, a row each`);
}

async function samplesOf(options: Options, recipe: Recipe, signal: AbortSignal): Promise<SampleViews> {
  const { shards, seed, epoch, key, n, op, index, draft, maxPixels, imageField, labelField, classesFile } = options;
  const chosen = {
    shards,
    ...(await readFields({ imageField, labelField, classesFile })),
    ...(index !== undefined && { indexDir: index }),
    ...(draft !== undefined && { draft }),
    ...(maxPixels !== undefined && { maxPixels }),
    recipe,
    seed,
    epoch,
    signal,
  };
  display.work(key === undefined ? 'reading the first images' : `looking for ${key}`);
  const samples = await (key === undefined ? firstSamples(chosen, n ?? (op ? 1 : DEFAULT_IMAGES)) : sampleWithKey(chosen, key));
  display.end();
  return samples;
}

export function viewsCommand(): Command {
  const command = new Command('views')
    .description('Draw what a recipe makes of images, with all that was drawn at random, as one PNG: the views that training sees.')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs; all that training has, in its order')
    .option('--out <file>', 'PNG to write; its folder is made when absent', 'views.png')
    .option('--n <n>', `images: the first of the epoch (default: "${DEFAULT_IMAGES}")`)
    .option('--key <key>', 'the one sample of this key, such as 000017, instead')
    .option('--op <name...>', `draw one image through an operation over its range instead: ${OPERATION_NAMES.join(', ')}`)
    .option('--seed <n>', 'of order and views', '0')
    .option('--epoch <n>', 'whose views, from 0', '0')
    .option('--index <folder>', 'indexes of the shards, by which samples are found without reading others')
    .option('--draft', 'decode JPEGs as training with --draft does')
    .option(...MAX_PIXELS_FLAG)
    .option('--json', 'print the samples, the shapes of their views and what was drawn of each as one JSON object')
    .action(() => interruptible('interrupted', (signal) => run(command, signal)));
  return withChoices(addFieldOptions(addRecipeOptions(command)), schema.shape);
}
