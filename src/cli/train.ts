/** `detco train` */
import { Command } from 'commander';
import { z } from 'zod';
import { inspectTfjs } from '../engine/packages.js';
import { counted } from '../common/counted.js';
import { MOST_THREADS } from '../engine/threads.js';
import type { Measured, ProfileReport } from '../pipeline/profile/index.js';
import { shellWord } from '../common/shell-word.js';
import type { TrainOptions, TrainResult } from '../train/index.js';
import { addFieldOptions } from './fields.js';
import { LIMITS } from '../train/limits.js';
import { interruptible, type Interrupted } from './interrupt.js';
import { positive, whole } from './number.js';
import { assertFile, writeOutput } from './output.js';
import { asUsageError, parseOptions, UsageError } from './usage-error.js';
import { printJson, say } from './print.js';

const folder = (example: string) => z.string().min(1, `expected a folder; give for example ${example}`).optional();

/** What is a name or an amount of bytes is left to `train`, which reads it from config files as well. */
const schema = z.looseObject({
  index: folder('--index shards/index'),
  cacheDir: folder('--cache-dir cache'),
  out: folder('--out runs/first'),
  resume: folder('--resume runs/first'),
  threads: whole(1, MOST_THREADS, '--threads 2').optional(),
  batch: whole(...LIMITS.batch, '--batch 256').optional(),
  epochs: whole(...LIMITS.epochs, '--epochs 200').optional(),
  steps: whole(...LIMITS.steps, '--steps 1000').optional(),
  workers: whole(...LIMITS.workers, '--workers 8').optional(),
  seed: whole(...LIMITS.seed, '--seed 1').optional(),
  lr: positive(LIMITS.lr[1], '--lr 0.03').optional(),
  maxPixels: whole(...LIMITS.maxPixels, '--max-pixels 67108864').optional(),
  queueSize: whole(...LIMITS.queueSize, '--queue-size 65536').optional(),
  checkpointEvery: whole(...LIMITS.checkpointEvery, '--checkpoint-every 1000').optional(),
  evalEvery: whole(...LIMITS.evalEvery, '--eval-every 5').optional(),
  config: z.string().min(1, 'expected a file; give for example --config options.yaml').optional(),
  /** File of the report, or true. */
  profile: z.union([z.string(), z.literal(true)]).optional(),
  json: z.boolean().default(false),
});

async function run(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const missing = inspectTfjs();
  if (missing !== undefined) throw new UsageError(`training needs TensorFlow.js: ${missing.reason}; ${missing.remedy}`);
  const { config, queueSize, index, json, profile, ...flags } = parseOptions(schema, raw);
  await assertFile('--profile', profile === true ? undefined : profile);
  const { startTraining } = await import('../train/thread.js');
  const { terminalProgress } = await import('../train/progress.js');
  const progress = terminalProgress(process.stderr);
  const options = {
    ...flags,
    ...(queueSize === undefined ? {} : { method: { queueSize } }),
    ...(index === undefined ? {} : { indexDir: index }),
  } as TrainOptions;
  const task = { options, profile: profile !== undefined, ...(config === undefined ? {} : { configFile: config }) };
  await interruptible('stopped before the first update', async (signal) => {
    const training = startTraining(task, progress);
    process.on('SIGUSR1', () => training.save());
    signal.addEventListener('abort', () => {
      progress.onInfo('stopping: finishing the update and writing a checkpoint (again to stop at once)');
      training.stop();
    });
    const result = await training.result.catch(asUsageError('OptionsError', 'RunDirectoryError')).finally(() => progress.close());
    if (result === undefined) throw signal.reason;
    progress.onInfo(outcome(result));
    if (!result.finished) process.exitCode = (signal.reason as Interrupted).exitCode;
    const { profile: measured, ...rest } = result;
    const report = measured && (await showProfile(measured, result.run, profile, progress.onWarning));
    if (profile !== undefined && !report) progress.onInfo('no profile: it takes at least two updates');
    if (json) printJson({ ...rest, ...(report && { profile: report }) });
  });
}

function outcome({ finished, step, seconds, loss, checkpoint, run: folder }: TrainResult): string {
  if (!finished) return `stopped after step ${step}; continue with: detco train --resume ${shellWord(folder)}`;
  if (loss === undefined) return `nothing to do: step ${step} was the last; ${checkpoint}`;
  return `done: ${counted(step, 'step')} in ${seconds.toFixed(0)} s, loss ${loss.toFixed(3)}; ${checkpoint}`;
}

/** Prints the report, and writes it where `file` says if that can be. */
async function showProfile(
  measured: Measured,
  run: string,
  file: string | true | undefined,
  warn: (message: string) => void,
): Promise<ProfileReport> {
  const { profileReport, reportHtml, reportLines } = await import('../pipeline/profile/index.js');
  const report = profileReport(measured);
  for (const line of ['', ...reportLines(report)]) say(line);
  if (typeof file !== 'string') return report;
  // The run is done and its result is still to be printed.
  await writeOutput(file, reportHtml(report, measured, { subject: `training ${run}` })).catch((error: unknown) =>
    warn(`the report could not be written: ${error instanceof Error ? error.message : String(error)}; give --profile a file that can be`),
  );
  return report;
}

export function trainCommand(): Command {
  const command = new Command('train')
    .description('Pre-train an encoder on tar shards. Ctrl-C finishes the update and writes a checkpoint; twice stops at once.')
    .option('--shards <spec...>', 'training shards: paths, brace ranges {000000..000009}, globs, http(s):// or s3:// URLs')
    .option('--val-shards <spec...>', 'labelled shards for kNN accuracy')
    .option('--skip-shards <name...>', 'training shards to leave out, such as train-000123.tar: the others keep their order')
    .option(
      '--index <folder>',
      'indexes of the shards, by which a resume reads only what it needs (default: index in the run); runs may share it',
    )
    .option(
      '--check-shards <what>',
      'what is asked of each shard at the start and compared at a resume: versions (times, ETags), sizes, or none (default versions)',
    )
    .option('--cache-dir <folder>', 'keep remote shards here once they are read; runs may share it')
    .option(
      '--cache-size <size>',
      'what the folder may hold: 200G (powers of 1024), 200GB (of 1000) (default: nine tenths of what its disk has for it)',
    )
    .option(
      '--decoded-cache <size>',
      'keep decoded images in memory, up to 200MB for example: for data sets of small images (default: 0, none; tiny: 100MB)',
    )
    .option('--max-pixels <n>', 'leave larger images out, as bad samples (default 67108864)')
    .option(
      '--decode-memory <size>',
      'what images may take while they are decoded and wait for their place (default: an eighth of the memory)',
    )
    .option(
      '--preset <name>',
      'a method and how it trains, such as detco-r50, moco-v2-r50, simclr-r50 or tiny; docs/methods.md has them all (default detco-r50)',
    )
    .option('--config <file>', 'YAML file of options, between the preset and the flags')
    .option('--engine <name>', 'auto, wasm, tensorflow or torch (default auto)')
    .option('--precision <name>', 'fp32, tf32 or bf16: what convolutions and matrix products compute in (default fp32)')
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default auto: the best the engine finds)')
    .option('--threads <n>', "threads of the engine's CPU kernels (default: the engine's choice)")
    .option('--out <folder>', 'folder of the run (default runs/PRESET-TIME)')
    .option(
      '--resume <run>',
      'continue RUN, or RUN/checkpoints/step-N, with the options it began with; auto: the run of --out if there is one, else a new one',
    )
    .option('--batch <n>', 'images an update')
    .option('--epochs <n>', 'epochs of the run; the learning rate follows them')
    .option('--steps <n>', 'end after so many updates, if that is sooner')
    .option('--workers <n>', 'worker threads of the pipeline (default: the cores)')
    .option('--augment <where>', 'worker, or device: colour, blur and point operations on the engine, for few cores and a large GPU')
    .option('--seed <n>', 'of order, views, weights and permutations (default 0)')
    .option('--lr <rate>', 'learning rate at batch 256; scaled by batch/256, or as lrScaling of the preset says')
    .option('--queue-size <n>', 'keys in each queue; a multiple of the batch')
    .option('--checkpoint-every <steps>', 'checkpoints besides the one at the end of each epoch')
    .option('--eval-every <epochs>', 'epochs between kNN evaluations')
    .option('--profile [file]', 'say at the end whether updates waited for data, and why; to an HTML file as well')
    .option('--json', 'print the result as one JSON object on stdout')
    .action(run);
  return addFieldOptions(command);
}
