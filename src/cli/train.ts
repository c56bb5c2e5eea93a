/** `detco train` */
import { writeFile } from 'node:fs/promises';
import { Command, InvalidArgumentError } from 'commander';
import { inspectTfjs } from '../engine/packages.js';
import type { Measured, ProfileReport } from '../pipeline/profile/index.js';
import type { TrainOptions } from '../train/index.js';
import { addFieldOptions } from './fields.js';
import { interruptible, type Interrupted } from './interrupt.js';
import { UsageError } from './usage-error.js';

function integer(minimum: number) {
  return (text: string): number => {
    const value = Number(text);
    if (text.trim() === '' || !Number.isInteger(value) || value < minimum)
      throw new InvalidArgumentError(`Expected an integer, at least ${minimum}.`);
    return value;
  };
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!(value > 0 && value < Infinity)) throw new InvalidArgumentError('Expected a number above 0, such as 0.03.');
  return value;
}

interface Flags extends Pick<
  TrainOptions,
  | 'shards'
  | 'valShards'
  | 'imageField'
  | 'labelField'
  | 'classesFile'
  | 'augment'
  | 'cacheDir'
  | 'cacheSize'
  | 'decodedCache'
  | 'batch'
  | 'epochs'
  | 'steps'
  | 'workers'
  | 'seed'
  | 'lr'
  | 'checkpointEvery'
  | 'evalEvery'
  | 'out'
  | 'resume'
> {
  readonly preset?: string;
  readonly engine?: string;
  readonly precision?: string;
  readonly device?: string;
  readonly threads?: number;
  readonly config?: string;
  readonly queueSize?: number;
  readonly json?: true;
  readonly index?: string;
  /** File of the report, or true. */
  readonly profile?: string | true;
}

/** Failures that other arguments would have avoided. */
const ARGUMENT_ERRORS = new Set(['OptionsError', 'RunDirectoryError']);

async function run({ config, queueSize, index, json, profile, ...flags }: Flags): Promise<void> {
  const missing = inspectTfjs();
  if (missing !== undefined) throw new UsageError(`training needs TensorFlow.js: ${missing.reason}; ${missing.remedy}`);
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
    signal.addEventListener('abort', () => {
      progress.onInfo('stopping: finishing the update and writing a checkpoint (again to stop at once)');
      training.stop();
    });
    const result = await training.result.catch(asUsageError).finally(() => progress.close());
    if (result === undefined) throw signal.reason;
    const loss = result.loss === undefined ? '' : `, loss ${result.loss.toFixed(3)}`;
    progress.onInfo(
      result.finished
        ? `done: ${result.step} steps in ${result.seconds.toFixed(0)} s${loss}; ${result.checkpoint}`
        : `stopped after step ${result.step}; continue with: detco train --resume ${result.run}`,
    );
    if (!result.finished) process.exitCode = (signal.reason as Interrupted).exitCode;
    const { profile: measured, ...rest } = result;
    const report = measured && (await showProfile(measured, result.run, profile, progress.onWarning));
    if (profile !== undefined && !report) progress.onInfo('no profile: it takes at least two updates');
    if (json) process.stdout.write(`${JSON.stringify({ ...rest, ...(report && { profile: report }) })}\n`);
  });
}

/** What the trainer says of options is about the command's. */
function asUsageError(error: unknown): never {
  const about = error instanceof Error && ARGUMENT_ERRORS.has(error.name);
  throw about ? new UsageError(error.message, { cause: error }) : error;
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
  process.stderr.write(`\n${reportLines(report).join('\n')}\n`);
  if (typeof file !== 'string') return report;
  // The run is done and its result is still to be printed.
  await writeFile(file, reportHtml(report, measured, { subject: `training ${run}` })).catch((error: unknown) =>
    warn(`the report could not be written: ${error instanceof Error ? error.message : String(error)}; give --profile a file that can be`),
  );
  return report;
}

export function trainCommand(): Command {
  const seen = integer(1);
  const command = new Command('train')
    .description('Pre-train an encoder on tar shards. Ctrl-C finishes the update and writes a checkpoint; twice stops at once.')
    .option('--shards <spec...>', 'training shards: paths, brace ranges {000000..000009}, globs, http(s):// or s3:// URLs')
    .option('--val-shards <spec...>', 'labelled shards for kNN accuracy')
    .option(
      '--index <folder>',
      'indexes of the shards, by which a resume reads only what it needs (default: index in the run); runs may share it',
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
    .option('--preset <name>', 'detco-r50, moco-v2-r50, moco-v1-r50 or tiny (default detco-r50)')
    .option('--config <file>', 'YAML file of options, between the preset and the flags')
    .option('--engine <name>', 'auto, wasm, tensorflow or torch (default auto)')
    .option('--precision <name>', 'fp32, tf32 or bf16: what convolutions and matrix products compute in (default fp32)')
    .option('--device <name>', 'auto, cpu, cuda or cuda:N (default auto: the best the engine finds)')
    .option('--threads <n>', "threads of the engine's CPU kernels (default: the engine's choice)", seen)
    .option('--out <folder>', 'folder of the run (default runs/PRESET-TIME)')
    .option(
      '--resume <run>',
      'continue RUN, or RUN/checkpoints/step-N, with the options it began with; auto: the run of --out if there is one, else a new one',
    )
    .option('--batch <n>', 'images an update', seen)
    .option('--epochs <n>', 'epochs of the run; the learning rate follows them', seen)
    .option('--steps <n>', 'end after so many updates, if that is sooner', seen)
    .option('--workers <n>', 'worker threads of the pipeline (default: the cores)', seen)
    .option('--augment <where>', 'worker, or device: colour, blur and point operations on the engine, for few cores and a large GPU')
    .option('--seed <n>', 'of order, views, weights and permutations (default 0)', integer(0))
    .option('--lr <rate>', 'learning rate at batch 256; scaled by batch/256', positiveNumber)
    .option('--queue-size <n>', 'keys in each queue; a multiple of the batch', seen)
    .option('--checkpoint-every <steps>', 'checkpoints besides the one at the end of each epoch', seen)
    .option('--eval-every <epochs>', 'epochs between kNN evaluations', seen)
    .option('--profile [file]', 'say at the end whether updates waited for data, and why; to an HTML file as well')
    .option('--json', 'print the result as one JSON object on stdout')
    .action(run);
  return addFieldOptions(command);
}
