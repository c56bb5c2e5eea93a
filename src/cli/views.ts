/** `detco views` */
import { writeFile } from 'node:fs/promises';
import { Command } from 'commander';
import { z } from 'zod';
import { createPipeline, recipes } from '../pipeline/index.js';
import { contactSheet } from '../pipeline/preview.js';
import { parseOptions } from './usage-error.js';

const side = z.coerce.number({ error: 'expected pixels, such as 224' }).int('expected whole pixels').min(1).max(2048);
const schema = z.object({
  shards: z.array(z.string()).min(1),
  out: z.string(),
  recipe: z.enum(['detco', 'mocoV2', 'mocoV1', 'simclr'], { error: 'expected detco, mocoV2, mocoV1 or simclr' }),
  count: z.coerce.number({ error: 'expected a number of images' }).int('expected a whole number').min(1).max(64),
  globalSize: side,
  patchSize: side,
  seed: z.coerce.number({ error: 'expected a whole number' }).int().min(0),
});

async function run(flags: Readonly<Record<string, unknown>>): Promise<void> {
  const { shards, out, recipe, count, seed, ...sizes } = parseOptions(schema, flags);
  for await (const batch of await createPipeline({ shards, recipe: recipes[recipe](sizes), batchSize: count, seed, workers: 2 })) {
    await writeFile(out, await contactSheet(batch));
    process.stderr.write(`${out}: ${batch.size} images, a row for each of ${Object.keys(batch.views).join(', ')}\n`);
    break;
  }
}

export function viewsCommand(): Command {
  return new Command('views')
    .description('Draw what a recipe makes of the first images, as one PNG.')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs')
    .option('--out <file>', 'PNG to write', 'views.png')
    .option('--recipe <name>', 'detco, mocoV2, mocoV1 or simclr', 'detco')
    .option('--count <n>', 'images', '8')
    .option('--global-size <pixels>', 'side of a global view', '224')
    .option('--patch-size <pixels>', 'side of a patch', '64')
    .option('--seed <n>', 'of order and views', '0')
    .action(run);
}
