/** `detco views` */
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { createPipeline, recipes } from '../pipeline/index.js';
import { contactSheet } from '../pipeline/preview.js';
import { addFieldOptions, fieldShape, readFields } from './fields.js';
import { interruptible } from './interrupt.js';
import { RECIPE_NAMES, recipeName } from './recipe-name.js';
import { parseOptions } from './usage-error.js';
import { whole } from './whole.js';

const schema = z.object({
  shards: z.array(z.string()).min(1),
  out: z.string(),
  recipe: recipeName,
  count: whole(1, 64, '--count 8'),
  globalSize: whole(1, 2048, '--global-size 224'),
  patchSize: whole(1, 2048, '--patch-size 64'),
  seed: whole(0, 0xffff_ffff, '--seed 1'),
  ...fieldShape,
});

async function run(flags: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void> {
  const { shards, out, recipe, count, seed, globalSize, patchSize, ...choice } = parseOptions(schema, flags);
  const views = recipes[recipe]({ globalSize, patchSize });
  const fields = await readFields(choice);
  for await (const batch of await createPipeline({ shards, ...fields, recipe: views, batchSize: count, seed, workers: 2, signal })) {
    await writeFile(out, await contactSheet(batch));
    process.stderr.write(`${out}: ${batch.size} images, a row for each of ${Object.keys(batch.views).join(', ')}\n`);
    break;
  }
}

export function viewsCommand(): Command {
  const command = new Command('views')
    .description('Draw what a recipe makes of the first images, as one PNG.')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs')
    .option('--out <file>', 'PNG to write', 'views.png')
    .option('--recipe <name>', RECIPE_NAMES.join(', '), 'detco')
    .option('--count <n>', 'images', '8')
    .option('--global-size <pixels>', 'side of a global view', '224')
    .option('--patch-size <pixels>', 'side of a patch', '64')
    .option('--seed <n>', 'of order and views', '0')
    .action((flags: Record<string, unknown>) => interruptible('interrupted', (signal) => run(flags, signal)));
  return addFieldOptions(command);
}
