/** `detco views` */
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { type Batch, createPipeline, type PipelineOptions } from '../pipeline/index.js';
import { contactSheet } from '../pipeline/preview.js';
import { batchingShape } from '../pipeline/run-options.js';
import { withChoices } from './choices.js';
import { addFieldOptions, fieldShape, readFields } from './fields.js';
import { interruptible } from './interrupt.js';
import { MAX_PIXELS_FLAG, maxPixels } from './max-pixels.js';
import { numberText, whole } from './number.js';
import { assertFile, writeOutput } from './output.js';
import { addRecipeOptions, chosenRecipe, recipeShape } from './recipe-options.js';
import { asPipelineUsageError, parseOptions } from './usage-error.js';
import { printJson, say } from './print.js';

const schema = z.object({
  shards: z.array(z.string()).min(1),
  out: z.string(),
  ...recipeShape,
  count: whole(1, 64, '--count 8'),
  seed: numberText(batchingShape.seed, '--seed 1'),
  maxPixels,
  ...fieldShape,
  json: z.boolean().default(false),
});

type Drawn = Pick<Batch, 'samples' | 'plans'> & { readonly views: Readonly<Record<string, readonly number[]>> };

async function run(flags: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void> {
  const { shards, out, recipe, count, seed, maxPixels, json, globalSize, patchSize, ...choice } = parseOptions(schema, flags);
  await assertFile('--out', out, 'picture');
  const chosen = chosenRecipe({ recipe, globalSize, patchSize });
  const fields = await readFields(choice);
  const few = { batchSize: count, workers: 2, checkShards: 'none' } as const;
  const limit = maxPixels === undefined ? {} : { maxPixels };
  const options = { shards, ...fields, ...limit, recipe: chosen, seed, signal, ...few };
  const { samples, views, plans } = await draw(options, out).catch(asPipelineUsageError({ batchSize: '--count' }));
  if (json) printJson({ out, samples, views, plans });
  else say(`${out}: ${counted(samples.length, 'image')}, a row for each of ${Object.keys(views).join(', ')}`);
}

/** Draws the first batch. @returns its samples, column by column, the shape of each view, row by row, and how each picture was made */
async function draw(options: PipelineOptions, out: string): Promise<Drawn> {
  for await (const batch of await createPipeline(options)) {
    await writeOutput(out, await contactSheet(batch));
    const views = Object.fromEntries(Object.entries(batch.views).map(([name, { shape }]) => [name, shape.slice(1)]));
    return { samples: batch.samples, views, plans: batch.plans };
  }
  throw new Error('the pipeline ended before its first batch');
}

export function viewsCommand(): Command {
  const command = new Command('views')
    .description('Draw what a recipe makes of the first images, as one PNG.')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs')
    .option('--out <file>', 'PNG to write; its folder is made when absent', 'views.png')
    .option('--count <n>', 'images', '8')
    .option('--seed <n>', 'of order and views', '0')
    .option(...MAX_PIXELS_FLAG)
    .option('--json', 'print the samples, the shapes of their views and what was drawn of each as one JSON object')
    .action((flags: Record<string, unknown>) => interruptible('interrupted', (signal) => run(flags, signal)));
  return withChoices(addFieldOptions(addRecipeOptions(command)), schema.shape);
}
