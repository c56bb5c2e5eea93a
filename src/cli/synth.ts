/** `detco synth`: labelled procedural pictures, as shards. */
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { ShardExistsError } from '../pipeline/shard/write.js';
import { CLASSES } from '../synth/classes.js';
import { synthesise } from '../synth/synthesise.js';
import { assertFolder, writeError } from './output.js';
import { parseOptions, UsageError } from './usage-error.js';
import { withProgress } from './progress.js';
import { whole } from './number.js';
import { printJson, printLines } from './print.js';
import { quoted } from '../common/quoted.js';

const DEFAULTS = Object.freeze({
  perShard: '1000',
  seed: '0',
  prefix: 'train',
  quality: '85',
  photoQuality: '96',
});

const schema = z
  .object({
    out: z.string().min(1, 'expected a folder; give for example --out shards'),
    count: whole(1, 100_000_000, '--count 2000'),
    perShard: whole(1, 100_000_000, '--per-shard 1000'),
    size: z
      .string()
      .refine((text) => /^\d+x\d+$/.test(text) && sides(text).every((side) => side >= 16 && side <= 4096), {
        error: 'expected WIDTHxHEIGHT in pixels, each 16..4096; give for example --size 128x128',
      })
      .transform(sides)
      .optional(),
    quality: whole(1, 100, '--quality 85').optional(),
    seed: whole(0, 0xffff_ffff, '--seed 1'),
    prefix: z.string().regex(/^\w[\w-]*$/, 'expected letters, digits, "_" and "-"; give for example --prefix train'),
    photo: z.boolean().default(false),
    json: z.boolean().default(false),
  })
  .transform(({ quality, ...options }) => ({
    ...options,
    quality: quality ?? Number(options.photo ? DEFAULTS.photoQuality : DEFAULTS.quality),
  }));

/** Writes `--count` pictures into shards under `--out`. @throws UsageError for options that cannot be used */
export function synthCommand(): Command {
  return new Command('synth')
    .description(`write shards of procedural pictures: ${CLASSES.length} classes told by shape and texture together, with boxes`)
    .requiredOption('--out <dir>', 'folder of the shards')
    .requiredOption('--count <n>', 'pictures')
    .option('--per-shard <n>', 'pictures in a shard', DEFAULTS.perShard)
    .option('--size <WxH>', 'pixels (default: 128x128, or with --photo sizes as they are in ImageNet)')
    .option('--quality <q>', `JPEG quality, 1..100 (default: ${DEFAULTS.quality}, or with --photo ${DEFAULTS.photoQuality})`)
    .option('--seed <n>', 'the same seed gives the same bytes', DEFAULTS.seed)
    .option('--prefix <name>', 'shards are named NAME-000.tar and so on', DEFAULTS.prefix)
    .option('--photo', "the size and the entropy of ImageNet's photographs")
    .option('--json', 'print the report as one JSON object')
    .action(async (raw: Record<string, unknown>) => {
      const { out, json, ...options } = parseOptions(schema, raw);
      await assertFolder('--out', out);
      const interrupted = 'interrupted; the unfinished shard was removed';
      try {
        const report = await withProgress({ title: 'synth', interrupted }, ({ signal, update }) =>
          synthesise({ ...options, dir: out, signal, onProgress: (done) => update({ done, total: options.count, unit: 'pictures' }) }),
        );
        const summary = `${counted(report.images, 'picture')} in ${out}/${report.pattern}: ${(report.bytes / 1e6).toFixed(1)} MB, ${report.imagesPerSecond} pictures a second`;
        if (json) printJson({ out, ...report });
        else printLines([summary]);
      } catch (error) {
        if (error instanceof ShardExistsError) throw new UsageError(`--out ${quoted(out)}: ${error.message}`);
        throw error instanceof Error && 'code' in error ? writeError(out, error) : error;
      }
    });
}

function sides(text: string): [width: number, height: number] {
  const [width = 0, height = 0] = text.split('x').map(Number);
  return [width, height];
}
