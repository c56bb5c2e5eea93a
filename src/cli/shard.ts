/** `detco shard`: images as they come -> shards. */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { archiveLeftOutInWords } from '../pipeline/shard/make/left-out.js';
import { looseInWords } from '../pipeline/shard/make/listed.js';
import { makeShards, ShardPlanError, type ShardingReport } from '../pipeline/shard/make/index.js';
import { ShardExistsError } from '../pipeline/shard/write.js';
import { byteSize } from './byte-size.js';
import { assertFolder } from './output.js';
import { MAX_PIXELS_FLAG, maxPixels } from './max-pixels.js';
import { parseOptions, UsageError } from './usage-error.js';
import { withProgress } from './progress.js';
import { whole } from './number.js';
import { printJson, printLines, say, warn } from './print.js';
import { quoted } from '../common/quoted.js';

const DEFAULTS = Object.freeze({ perShard: '1000', prefix: 'train', quality: '90', seed: '0' });
/** Share of bad images above which something is wrong with the source. */
const MANY_BAD = 0.01;

const schema = z
  .object({
    out: z.string().min(1, 'expected a folder; give for example --out shards/train'),
    perShard: whole(1, 10_000_000, '--per-shard 1000'),
    prefix: z.string().regex(/^\w[\w-]*$/, 'expected letters, digits, "_" and "-"; give for example --prefix train'),
    resizeShort: whole(1, 65_535, '--resize-short 256').optional(),
    quality: whole(1, 100, '--quality 90').optional(),
    seed: whole(0, 0xffff_ffff, '--seed 1').optional(),
    maxPixels,
    decodeMemory: byteSize.optional(),
    workers: whole(1, 1024, '--workers 8').optional(),
    shuffle: z.boolean(),
    json: z.boolean().default(false),
  })
  .refine(({ quality, resizeShort }) => quality === undefined || resizeShort !== undefined, {
    path: ['quality'],
    error: 'nothing is encoded without --resize-short; leave it out, or give both',
  })
  .refine(({ seed, shuffle }) => seed === undefined || shuffle, {
    path: ['seed'],
    error: 'nothing is drawn with --no-shuffle; leave one of them out',
  });

async function run(source: string, raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { out, json, shuffle, seed, quality, workers, resizeShort, maxPixels, decodeMemory, ...options } = parseOptions(schema, raw);
  await assertFolder('--out', out);
  const interrupted = 'interrupted; give the same command again to go on';
  try {
    const report = await withProgress({ title: 'shard', interrupted }, ({ signal, update }) =>
      makeShards({
        source,
        dir: out,
        ...options,
        ...(resizeShort !== undefined && { resizeShort }),
        ...(maxPixels !== undefined && { maxPixels }),
        ...(decodeMemory !== undefined && { decodeMemory }),
        quality: quality ?? Number(DEFAULTS.quality),
        ...(shuffle && { seed: seed ?? Number(DEFAULTS.seed) }),
        workers: workers ?? availableParallelism(),
        signal,
        onProgress: ({ images, share }) => update({ done: images, unit: 'images', share }),
      }),
    );
    for (const line of notes(report)) say(line);
    const bad = badInWords(report, out);
    if (bad !== undefined) warn(bad);
    if (json) printJson({ out, ...report });
    else printLines([summary(report, out)]);
  } catch (error) {
    if (error instanceof ShardExistsError) throw new UsageError(`--out ${quoted(out)}: ${error.message}`);
    throw error instanceof ShardPlanError ? new UsageError(error.message) : error;
  }
}

function summary({ images, labelled, classes, resized, pattern, bytes, kept }: ShardingReport, out: string): string {
  return [
    `${counted(images, 'image')} in ${out}/${pattern}: ${(bytes / 1e6).toFixed(1)} MB`,
    classes > 0 ? `${counted(classes, 'class')} (classes.txt)` : labelled > 0 ? `${labelled} with a label` : 'no labels',
    ...(resized > 0 ? [`${resized} made smaller`] : []),
    ...(kept > 0 ? [`${counted(kept, 'shard')} kept`] : []),
  ].join(', ');
}

function notes({ ignored, loose, leftOut }: ShardingReport): string[] {
  return [
    ...(ignored > 0 ? [`${counted(ignored, 'file')} left out: not named .jpg, .jpeg, .png or .webp`] : []),
    ...(loose ? [looseInWords(loose)] : []),
    ...leftOut.map((one) => `left out: ${archiveLeftOutInWords(one)}`),
  ];
}

function badInWords({ images, bad }: ShardingReport, out: string): string | undefined {
  if (bad === 0) return undefined;
  const share = (100 * bad) / (images + bad);
  const many = share > 100 * MANY_BAD ? `${share.toFixed(1)} % of the images are bad; check the source. ` : '';
  return `${many}${counted(bad, 'bad image')} left out: ${out}/bad-samples.jsonl`;
}

/** Writes the images of SRC into shards under `--out`. */
export function shardCommand(): Command {
  return new Command('shard')
    .description('write images into shards: an ImageFolder, a list of files, or tar archives such as ILSVRC2012_img_train.tar')
    .argument('<src>', 'folder of class folders, list ("path label" a line), or tar: a path, http(s):// or s3://')
    .requiredOption('--out <dir>', 'folder of the shards; an interrupted run in it goes on')
    .option('--per-shard <n>', 'the most images in a shard', DEFAULTS.perShard)
    .option('--prefix <name>', 'shards are named NAME-000000.tar and so on', DEFAULTS.prefix)
    .option('--resize-short <pixels>', 'make images smaller whose shorter side is above it')
    .option('--quality <q>', `JPEG quality of those, 1..100 (default: ${DEFAULTS.quality})`)
    .option(...MAX_PIXELS_FLAG)
    .option('--workers <n>', 'images decoded at once (default: the cores)')
    .option('--decode-memory <size>', 'what images may take while they are decoded (default: an eighth of the memory)')
    .option('--seed <n>', `of the shuffle (default: ${DEFAULTS.seed})`)
    .option('--no-shuffle', 'keep the order of the source')
    .option('--json', 'print the report as one JSON object')
    .action(run);
}
