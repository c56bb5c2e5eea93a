/** `detco index` */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { indexShards, type IndexReport, type LabelSummary, type ShardSize, type ShuffleSummary } from '../pipeline/shard/index-shards.js';
import { leftOutInWords } from '../pipeline/shard/left-out.js';
import { batchSize } from '../pipeline/run-options.js';
import { listShards } from '../pipeline/source/index.js';
import { addFieldOptions, fieldShape, readFields } from './fields.js';
import { assertFolder } from './output.js';
import { parseOptions } from './usage-error.js';
import { withProgress } from './progress.js';
import { numberText, whole } from './number.js';
import { printJson, printLines } from './print.js';

const schema = z.object({
  shards: z.array(z.string()),
  out: z.string().min(1, 'expected a folder; give for example --out shards/index'),
  workers: whole(1, 256, '--workers 8').optional(),
  batch: numberText(batchSize, '--batch 256'),
  ...fieldShape,
  force: z.boolean().default(false),
  json: z.boolean().default(false),
});

async function run(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const { shards, out, workers = availableParallelism(), batch, force, json, ...choice } = parseOptions(schema, raw);
  await assertFolder('--out', out);
  const fields = await readFields(choice);
  const interrupted = 'interrupted; give the same command again, finished indexes are kept';
  const report = await withProgress({ title: 'index', interrupted }, async ({ signal, update }) => {
    const locations = await listShards(shards, { signal });
    const onShard = (done: number): void => update({ done, total: locations.length, unit: 'shards' });
    return indexShards(locations, { dir: out, fields, workers, force, batchSize: batch, signal, onShard });
  });
  if (json) printJson({ out, ...report });
  else printLines(lines(report, out));
  if (report.failed.length > 0) process.exitCode = 1;
}

function lines(
  { shards, kept, samples, bytes, bad, labels, smallest, largest, uneven, shuffle, leftOut, failed }: IndexReport,
  out: string,
): string[] {
  return [
    `${counted(samples, 'sample')} in ${counted(shards, 'shard')}, ${(bytes / 1e6).toFixed(1)} MB; index in ${out}${kept > 0 ? ` (of ${kept} it was there)` : ''}`,
    `labels: ${labelsInWords(labels, samples)}`,
    ...(smallest && largest ? [`shards: ${sizesInWords(smallest, largest)}`] : []),
    ...(uneven > 0
      ? [`uneven: ${counted(uneven, 'shard')} below nine tenths of the largest; lanes that read such shards run dry early`]
      : []),
    ...(samples > 0 ? shuffleInWords(shuffle) : []),
    ...(bad > 0 ? [`bad: ${counted(bad, 'sample')} will be left out; detco verify names each`] : []),
    ...(leftOut.length > 0 ? [`left out: ${leftOutInWords(leftOut)}; detco verify tells more`] : []),
    ...failed.map(({ problem }) => `cannot be read: ${problem}`),
  ];
}

/** More equal neighbours than by chance, as a share of the way to all. */
const SORTED = 0.1;

function shuffleInWords({
  lanes,
  buffer,
  batchSize,
  shardsPerBatch,
  neighbourDistance,
  sameLabel,
  sameLabelByChance,
}: ShuffleSummary): string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
  const { plan, full } = shardsPerBatch;
  const sorted = sameLabel - sameLabelByChance > SORTED * (1 - sameLabelByChance);
  return [
    `shuffle (${counted(lanes, 'lane')}, buffer of ${buffer}): a batch of ${batchSize} comes from ${plan.toFixed(1)} shards, ${full.toFixed(1)} if all samples were permuted; ` +
      `neighbours in a shard come ${percent(neighbourDistance.plan)} of an epoch apart, ${percent(neighbourDistance.full)} if all were permuted`,
    ...(sorted
      ? [
          `sorted: neighbours in a shard are of one class ${percent(sameLabel)} of the time, ${percent(sameLabelByChance)} by chance; ` +
            'batches will hold few classes, so shuffle the shards with detco shard',
        ]
      : []),
  ];
}

function sizesInWords(smallest: ShardSize, largest: ShardSize): string {
  if (smallest.samples === largest.samples) return `${counted(largest.samples, 'sample')} each`;
  return `${counted(smallest.samples, 'sample')} (${smallest.shard}) to ${largest.samples} (${largest.shard})`;
}

/** `1000 classes, 0..999` */
export function labelsInWords({ labelled, distinct, lowest, highest }: LabelSummary, samples: number): string {
  if (labelled === 0) return 'none';
  const without = samples > labelled ? `, ${counted(samples - labelled, 'sample')} without` : '';
  return `${counted(distinct, 'class')}, ${lowest}..${highest}${without}`;
}

/** Indexes `--shards` into `--out`. */
export function indexCommand(): Command {
  const command = new Command('index')
    .description('note where each sample of the shards lies, and say what the shards hold')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs')
    .requiredOption('--out <dir>', 'folder of the indexes')
    .option('--workers <n>', 'shards read at once (default: the cores)')
    .option('--batch <n>', 'samples a batch, to say how well the pipeline will shuffle', '256')
    .option('--force', 'read also the shards whose index is there')
    .option('--json', 'print the report as one JSON object')
    .action(run);
  return addFieldOptions(command);
}
