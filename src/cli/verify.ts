/** `detco verify` */
import { availableParallelism } from 'node:os';
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { archiveLeftOutInWords } from '../pipeline/shard/make/left-out.js';
import { hardwareInWords } from '../pipeline/shard/hardware-count.js';
import { verifyShards, type Problem, type VerifyReport } from '../pipeline/shard/verify.js';
import { listShards } from '../pipeline/source/index.js';
import { byteSize } from './byte-size.js';
import { addFieldOptions, fieldShape, readFields } from './fields.js';
import { labelsInWords } from './index.js';
import { MAX_PIXELS_FLAG, maxPixels } from './max-pixels.js';
import { parseOptions } from './usage-error.js';
import { withProgress } from './progress.js';
import { whole } from './number.js';
import { printJson, printLines } from './print.js';

const schema = z.object({
  shards: z.array(z.string()),
  index: z.string().min(1, 'expected the folder that detco index wrote').optional(),
  ...fieldShape,
  decode: z.boolean(),
  classes: whole(1, 0x7fffffff, '--classes 1000').optional(),
  maxPixels,
  decodeMemory: byteSize.optional(),
  workers: whole(1, 1024, '--workers 8').optional(),
  json: z.boolean().default(false),
});

async function run(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const {
    shards,
    index,
    decode,
    classes,
    maxPixels,
    decodeMemory,
    workers = availableParallelism(),
    json,
    ...choice
  } = parseOptions(schema, raw);
  const fields = await readFields(choice);
  const report = await withProgress({ title: 'verify', interrupted: 'interrupted' }, async ({ signal, update }) => {
    const locations = await listShards(shards, { signal });
    return verifyShards(locations, {
      ...(index !== undefined && { indexDir: index }),
      ...(classes !== undefined && { classes }),
      fields,
      ...(maxPixels !== undefined && { maxPixels }),
      ...(decodeMemory !== undefined && { decodeMemory }),
      decode,
      workers,
      signal,
      onProgress: ({ samples, shards: done }) => update({ done: samples, unit: 'samples', share: done / locations.length }),
    });
  });
  if (json) printJson(report);
  else printLines(lines(report, decode));
  if (report.problems.length > 0) process.exitCode = 1;
}

/** Problems of a kind that are printed; the further ones are mostly the same. */
const LISTED = 10;

/** In their order, and how many of each kind are left out. */
function listed(problems: readonly Problem[]): string[] {
  const kinds = new Map<string, number>();
  const shown: string[] = [];
  for (const problem of problems) {
    const count = (kinds.get(problem.kind) ?? 0) + 1;
    kinds.set(problem.kind, count);
    if (count <= LISTED) shown.push(inWords(problem));
  }
  for (const [kind, count] of kinds) if (count > LISTED) shown.push(`and ${counted(count - LISTED, `more ${kind}`)}; --json has them all`);
  return shown;
}

function lines({ shards, samples, bytes, labels, hardware, otherLabels, problems }: VerifyReport, decode: boolean): string[] {
  const kinds = new Map<string, number>();
  for (const { kind } of problems) kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
  const found = [...kinds].map(([kind, count]) => counted(count, kind)).join(', ');
  return [
    ...listed(problems),
    `${counted(samples, 'sample')} in ${counted(shards, 'shard')}, ${(bytes / 1e6).toFixed(1)} MB${decode ? ', decoded' : ''}`,
    `labels: ${labelsInWords(labels, samples)}`,
    ...hardwareInWords(hardware),
    ...(otherLabels ? [`note: ${archiveLeftOutInWords({ ...otherLabels, source: otherLabels.shard })}`] : []),
    problems.length === 0 ? 'no problems' : `${counted(problems.length, 'problem')}: ${found}`,
  ];
}

function inWords({ shard, key, member, offset, problem }: Problem): string {
  const named = key ?? member;
  const place = [...(named === undefined ? [] : [`"${named}"`]), ...(offset === undefined ? [] : [`byte ${offset}`])];
  return `${shard}${place.length > 0 ? ` (${place.join(', ')})` : ''}: ${problem}`;
}

/** Checks `--shards` and exits with 1 when anything is wrong. */
export function verifyCommand(): Command {
  const command = new Command('verify')
    .description('read shards to their end and name every problem; exits with 1 when there is one')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs')
    .option('--index <dir>', 'compare with the indexes that detco index wrote')
    .option('--no-decode', 'do not decode the images')
    .option('--classes <n>', 'labels must be below it')
    .option(...MAX_PIXELS_FLAG)
    .option('--workers <n>', 'images decoded at once (default: the cores)')
    .option('--decode-memory <size>', 'what images may take while they are decoded (default: an eighth of the memory)')
    .option('--json', 'print the report as one JSON object')
    .action(run);
  return addFieldOptions(command);
}
