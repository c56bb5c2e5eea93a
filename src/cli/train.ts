/** `detco train` */
import { stat } from 'node:fs/promises';
import { constants } from 'node:os';
import { Command, Option } from 'commander';
import { z } from 'zod';
import type { CompanyPlace } from '../engine/company.js';
import { inspectTfjs } from '../engine/packages.js';
import type { Measured, ProfileReport } from '../pipeline/profile/index.js';
import type { TrainOptions } from '../train/index.js';
import { withChoices } from './choices.js';
import { addFieldOptions } from './fields.js';
import { type Flag, FLAGS, flagName } from '../train/flags.js';
import { readLaunch } from '../train/launch.js';
import { interruptible, type Interrupted } from './interrupt.js';
import { numberOption, numberText, portNumber, whole } from './number.js';
import { assertFile, writeOutput } from './output.js';
import { outcomeInWords, stoppingInWords } from './train-words.js';
import { asUsageError, parseOptions, UsageError } from './usage-error.js';
import { display, printJson, say } from './print.js';
import { DEFAULT_PORT } from '../watch/port.js';
import { exportMetrics, prometheusAddress } from './train-prometheus.js';
import { watchAlong } from './train-watch.js';
import { endWithStarter, startedByRanks, startRanks } from './ranks.js';

/** Of a run that another rank was asked to stop: as by SIGTERM. */
const STOPPED = 128 + constants.signals.SIGTERM;
/** Beyond it a number is a slip of the keyboard. */
const MOST_RANKS = 1024;

const folder = (example: string) => z.string().min(1, `expected a folder; give for example ${example}`).optional();
const path = (example: string) => z.string().min(1, `expected a path; give for example ${example}`).optional();

/** What the text of a flag is read as. What is a name, a list or an amount of bytes is left to the config, which reads it from files as well. */
function textOf(one: Flag): z.ZodType {
  if (one.example === undefined) return z.unknown().optional();
  const example = `${flagName(one)} ${one.example}`;
  return numberOption(one.schema) ? numberText(one.schema, example, one.most).optional() : path(example);
}

/** The name that commander gives the value of a flag. */
const keyOf = (one: Flag) => new Option(one.flag).attributeName();

const schema = z.looseObject({
  ...Object.fromEntries(FLAGS.map((one) => [keyOf(one), textOf(one)])),
  out: folder('--out runs/first'),
  resume: folder('--resume runs/first'),
  config: z.string().min(1, 'expected a file; give for example --config options.yaml').optional(),
  /** File of the report, or true. */
  profile: z.union([z.string(), z.literal(true)]).optional(),
  watch: portNumber(`--watch ${DEFAULT_PORT}`).optional(),
  prometheus: prometheusAddress.optional(),
  json: z.boolean().default(false),
  ranks: whole(1, MOST_RANKS, '--ranks 2').optional(),
});

/** Values of flags, by commander's names, as options of a run. */
function optionsOf(flags: Readonly<Record<string, unknown>>): TrainOptions {
  const options: Record<string, unknown> = { ...flags };
  for (const one of FLAGS) {
    const key = keyOf(one);
    if (key === one.option) continue;
    const { [key]: value } = options;
    delete options[key];
    if (value === undefined) continue;
    const [outer = '', inner] = one.option.split('.');
    options[outer] = inner === undefined ? value : { ...(options[outer] as object | undefined), [inner]: value };
  }
  return options;
}

/** Of another program that starts ranks, or of this one. */
function launched(): CompanyPlace | undefined {
  try {
    return readLaunch();
  } catch (error) {
    return asUsageError('OptionsError')(error);
  }
}

async function run(raw: Readonly<Record<string, unknown>>): Promise<void> {
  const missing = inspectTfjs();
  if (missing !== undefined) throw new UsageError(`training needs TensorFlow.js: ${missing.reason}; ${missing.remedy}`);
  const { config, json, profile, watch, prometheus, ranks = 1, quiet: _, ...flags } = parseOptions(schema, raw);
  // It takes the place of nothing that the run writes meanwhile: none of that has a page's ending.
  await assertFile('--profile', profile === true ? undefined : profile, 'page');
  const place = launched();
  if (ranks > 1 && place === undefined) {
    if (config !== undefined && (await stat(config).catch(() => undefined))?.isFile() === false)
      throw new UsageError(`--config ${config} with --ranks: expected a file, which each rank can read; write it to one`);
    process.exitCode = await startRanks(ranks);
    return;
  }
  if (ranks > 1 && place?.size !== ranks)
    throw new UsageError(`--ranks ${ranks}, and this is one of ${place?.size} ranks that another program started: leave --ranks out`);
  const { startTraining } = await import('../train/thread.js');
  const { trainProgress } = await import('../train/progress.js');
  const terminal = trainProgress(display);
  let work = '';
  const progress = {
    ...terminal,
    onWork: (name: string) => {
      work = name;
      terminal.onWork(name);
    },
  };
  // The first of several ranks speaks for all.
  const leads = !place?.rank;
  const tell = (message: string): void => (leads ? progress.onInfo(message) : undefined);
  const along = watch !== undefined && leads ? watchAlong(watch, progress.onInfo, progress.onWarning) : undefined;
  const exporter = prometheus && leads ? await exportMetrics(prometheus) : undefined;
  if (exporter) progress.onInfo(`metrics for Prometheus at ${exporter.url}`);
  const byRanks = startedByRanks();
  endWithStarter();
  const task = {
    options: optionsOf(flags),
    profile: profile !== undefined,
    views: along !== undefined,
    ...(config === undefined ? {} : { configFile: config }),
    ...(place && { place: { ...place, byRanks } }),
  };
  await interruptible('stopped before the first update', async (signal) => {
    const hooks = { ...progress, ...(along && { onRun: along.onRun }) };
    const training = startTraining(task, exporter?.listening(hooks) ?? hooks);
    process.on('SIGUSR1', () => training.save());
    signal.addEventListener('abort', () => {
      tell(stoppingInWords(work));
      training.stop();
    });
    const result = await training.result.catch(asUsageError('OptionsError', 'RunDirectoryError')).finally(async () => {
      progress.close();
      await along?.close();
      await exporter?.close();
    });
    // Where another rank was asked to stop, this one was not.
    if (!result?.finished) process.exitCode = (signal.reason as Interrupted | undefined)?.exitCode ?? STOPPED;
    if (result === undefined) {
      signal.throwIfAborted();
      return;
    }
    tell(outcomeInWords(result, byRanks ? place?.size : 1));
    const { profile: measured, ...rest } = result;
    if (!leads) return;
    const report = measured && (await showProfile(measured, result.run, profile, progress.onWarning));
    if (profile !== undefined && !report) progress.onInfo('no profile: it takes at least two updates');
    if (json) printJson({ ...rest, ...(report && { profile: report }) });
  });
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
  const command = new Command('train').description(
    'Pre-train an encoder on tar shards. Ctrl-C finishes the update and writes a checkpoint; twice stops at once.',
  );
  for (const { flag, help } of FLAGS) command.option(flag, help);
  command
    .option('--config <file>', 'YAML file of options, between the preset and the flags')
    .option('--out <folder>', 'folder of the run (default runs/PRESET-TIME)')
    .option(
      '--resume <run>',
      'continue RUN, or RUN/checkpoints/step-N, with the options it began with; auto: the run of --out if there is one, else a new one',
    )
    .option('--ranks <n>', 'train in so many processes on this machine, one a GPU, or on its cores (several machines: docs/distributed.md)')
    .option('--profile [file]', 'say at the end whether updates waited for data, and why; to an HTML file as well')
    .addOption(
      new Option('--watch [port]', `show the run on a web page of this machine while it trains (default port ${DEFAULT_PORT})`).preset(
        String(DEFAULT_PORT),
      ),
    )
    .option('--prometheus <address>', 'serve metrics for Prometheus at [HOST]:PORT/metrics while it trains; HOST is 127.0.0.1 unless given')
    .option('--json', 'print the result as one JSON object on stdout')
    .action(run);
  addFieldOptions(command);
  return withChoices(command, Object.fromEntries(FLAGS.map((one) => [keyOf(one), one.schema])));
}
