/** `detco profile`: what the pipeline can give, whether a consumer would starve, by what, and what to change. */
import { Command } from 'commander';
import { z } from 'zod';
import { counted } from '../common/counted.js';
import { oneOf } from '../common/one-of.js';
import { identityOf } from '../pipeline/source/identity.js';
import { batchingShape, batchSize } from '../pipeline/run-options.js';
import { DECODERS } from '../pipeline/worker/decoders.js';
import { withChoices } from './choices.js';
import { addFieldOptions, fieldShape, readFields } from './fields.js';
import { interruptible } from './interrupt.js';
import { MAX_PIXELS_FLAG, maxPixels } from './max-pixels.js';
import { numberText, positive } from './number.js';
import { assertFiles, writeOutput } from './output.js';
import { addRecipeOptions, chosenRecipe, recipeShape } from './recipe-options.js';
import { asPipelineUsageError, parseOptions } from './usage-error.js';
import { display, printJson, printLines, say } from './print.js';

/** Timed visits of the stages that a trace holds, of each thread. */
const TRACE_SPANS = 1 << 17;
const SWEEP_SECONDS = 3;
const DAY_SECONDS = 86_400;
/** What options of the pipeline are called here. */
const FLAGS = { batchSize: '--batch', cacheDir: '--cache-dir', workers: '--workers' };

const schema = z.object({
  shards: z.array(z.string()).min(1),
  seconds: positive(DAY_SECONDS, '--seconds 10'),
  workers: numberText(batchingShape.workers, '--workers 4').optional(),
  batch: numberText(batchSize, '--batch 64'),
  ...recipeShape,
  seed: numberText(batchingShape.seed, '--seed 1'),
  ...fieldShape,
  decoder: oneOf(DECODERS).optional(),
  draft: z.boolean().optional(),
  maxPixels,
  cacheDir: z.string().min(1, 'expected a folder; give for example --cache-dir cache').optional(),
  augment: oneOf(['worker', 'device']).optional(),
  decode: oneOf(['worker', 'device']).optional(),
  consume: positive(1e9, '--consume 400').optional(),
  report: z.string().min(1, 'expected a file; give for example --report profile.html').optional(),
  trace: z.string().min(1, 'expected a file; give for example --trace trace.json').optional(),
  json: z.boolean().default(false),
  sweep: z.boolean().default(false),
});

async function run(flags: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void> {
  const {
    seconds,
    consume,
    report: reportFile,
    trace: traceFile,
    json,
    sweep: sweeps,
    batch,
    recipe,
    globalSize,
    patchSize,
    localSize,
    crops,
    strength,
    randAugment,
    imageField,
    labelField,
    classesFile,
    ...rest
  } = parseOptions(schema, flags);
  const chosen = chosenRecipe({ recipe, globalSize, patchSize, localSize, crops, strength, randAugment });
  await assertFiles({ '--report': { path: reportFile, result: 'page' }, '--trace': { path: traceFile, result: 'trace' } });
  // No other command needs it.
  const { chromeTrace, knee, measurePipeline, profileReport, reportHtml, reportLines, sweep, sweepLines, sweepWorkers } =
    await import('../pipeline/profile/index.js');
  const options = {
    ...rest,
    ...(await readFields({ imageField, labelField, classesFile })),
    recipe: chosen,
    batchSize: batch,
    // It reads for a few seconds, few of many shards.
    checkShards: 'none' as const,
    signal,
  };
  const onPhase = (phase: string): void => {
    say(`measuring ${phase}`);
    display.work(`measuring ${phase}`);
  };
  const { measured, spans } = await measurePipeline(
    { ...options, ...(traceFile === undefined ? {} : { spans: TRACE_SPANS }) },
    { seconds, ...(consume === undefined ? {} : { consume }), onPhase },
  ).catch(asPipelineUsageError(FLAGS));
  display.end();
  const report = profileReport(measured);
  const points = sweeps
    ? await sweep(options, {
        workers: sweepWorkers(measured.setup.cores, measured.setup.lanes),
        seconds: Math.min(seconds, SWEEP_SECONDS),
        onPoint: (point) => say(`${counted(point.workers, 'worker')}: ${point.imagesPerSecond.toFixed(0)} images/s`),
      })
    : undefined;
  const enough = points && knee(points);
  // First, so that a file that cannot be written does not cost the measurement.
  const lines = [...reportLines(report), ...(points && enough ? ['', ...sweepLines(points, enough)] : [])];
  if (json) printJson({ ...report, ...(points ? { sweep: points, knee: enough } : {}) });
  else printLines(lines);
  if (traceFile !== undefined) await writeOutput(traceFile, JSON.stringify(chromeTrace(spans, measured.samples, measured.setup)));
  if (reportFile !== undefined) {
    const subject = rest.shards.map(identityOf).join(' ');
    await writeOutput(reportFile, reportHtml(report, measured, { subject, ...(points && enough ? { sweep: points, knee: enough } : {}) }));
  }
}

export function profileCommand(): Command {
  const command = new Command('profile')
    .description('Measure a pipeline: what it can give, whether a consumer would starve, by what, and what to change.')
    .requiredOption('--shards <spec...>', 'shards: paths, braces, globs, http(s):// or s3:// URLs')
    .option('--seconds <n>', 'how long to measure', '10')
    .option('--workers <n>', 'worker threads (default: the cores)')
    .option('--batch <n>', 'images a batch', '64')
    .option('--seed <n>', 'of order and views', '0')
    .option('--decoder <name>', 'of baseline JPEGs: wasm, in the workers themselves, or sharp; the pixels are the same (default: wasm)')
    .option('--draft', 'decode JPEGs at 1/2 or 1/4 where every crop has so many times the pixels of its view')
    .option(...MAX_PIXELS_FLAG)
    .option('--cache-dir <folder>', 'keep remote shards here once they are read')
    .option('--augment <where>', 'worker, or device: leave all operations but crops and flips to the engine')
    .option('--decode <where>', 'of JPEGs: worker, or device with --augment device: leave those to the engine that a GPU decodes')
    .option('--consume <rate>', 'play a consumer that takes so many images a second (default: as many as there are)')
    .option('--report <file>', 'write an HTML report')
    .option('--trace <file>', 'write a trace for https://ui.perfetto.dev')
    .option('--sweep', 'measure every number of workers, too, and say how many are enough')
    .option('--json', 'print the report as one JSON object')
    .action((flags: Record<string, unknown>) => interruptible('interrupted', (signal) => run(flags, signal)));
  return withChoices(addFieldOptions(addRecipeOptions(command)), schema.shape);
}
