/** Runs an evaluation of `detco eval`. Loads TensorFlow.js. */
import { codeOf } from '../common/error-code.js';
import { given } from '../common/options.js';
import { selectEngine, type Engine } from '../engine/index.js';
import { turn } from '../train/turn.js';
import { confusionOf, type Guesses } from '../eval/classification.js';
import { evaluateKnn, evaluateLinear, evaluateRank, evaluateSvm, type EvaluationOptions } from '../eval/index.js';
import { sizeNotes } from '../eval/notes.js';
import { addResult, readResults } from '../eval/results-file.js';
import { confusionSheet } from '../eval/sheets.js';
import { assertSubject, openSubject, type Subject } from '../eval/subject.js';
import { GLOBAL_SIZE } from '../pipeline/augment/recipes.js';
import { identityOf } from '../pipeline/source/identity.js';
import { listShards } from '../pipeline/source/index.js';
import type { PipelineOptions } from '../pipeline/index.js';
import { type CommonOptions, type EvalName, evalSchemas, type LabelledOptions } from './eval-options.js';
import { type EvalFound, type EvalReport, reportLines } from './eval-report.js';
import { readFields } from './fields.js';
import { assertFiles, type Output, writeError, writeOutput } from './output.js';
import { printJson, printLines, say } from './print.js';
import { asPipelineUsageError, asUsageError, parseOptions, UsageError } from './usage-error.js';
import { type Watched, withProgress } from './progress.js';

/** What options of the pipeline are called here. */
const FLAGS = { cacheDir: '--cache-dir', workers: '--workers', batchSize: '--block' };

type Raw = Readonly<Record<string, unknown>>;
type Judging = Pick<LabelledOptions, 'valShards' | 'shuffleLabels'>;
const JUDGES_NOTHING: Judging = { valShards: [], shuffleLabels: false };

/** What an evaluation gives besides its numbers. */
interface Outcome {
  readonly found: EvalFound;
  /** PNGs by the file that they go to. */
  readonly pictures: ReadonlyMap<string, Uint8Array>;
}

/**
 * Starts engine and encoder, runs `evaluate` on them, and prints and keeps what it gives.
 * @param pictureFiles where pictures go, by option
 */
async function run(
  evaluation: EvalName,
  title: string,
  common: CommonOptions & Judging,
  evaluate: (options: EvaluationOptions) => Promise<Outcome>,
  pictureFiles: Readonly<Record<string, Output>> = {},
): Promise<void> {
  await assertFiles({ ...pictureFiles, '--out': { path: common.out } });
  const fields = await readFields(common);
  await assertSubject(common.checkpoint);
  const name = common.name ?? (common.shuffleLabels ? `${title}, shuffled labels` : title);
  const work = async (watched: Watched): Promise<Outcome & { readonly report: EvalReport; readonly out: string | undefined }> => {
    // Before an engine starts, which may take a minute.
    if (common.out !== undefined) await readResults(common.out).catch(asUsageError('ResultsError'));
    for (const specs of [common.shards, common.valShards]) if (specs.length > 0) await listShards(specs, { signal: watched.signal });
    await using engine = await started(common);
    using subject = await openSubject(engine, common).catch(asUsageError('RangeError'));
    const out = common.out ?? subject.results;
    await assertFiles({ ...pictureFiles, '--out': { path: out } });
    if (out !== undefined) await readResults(out);
    const began = performance.now();
    const options = evaluationOptions({ common, fields, engine, subject, watched });
    const sizeUnknown = subject.sha256 !== undefined && (common.globalSize ?? subject.globalSize) === undefined;
    const { found, pictures } = await evaluate(options).catch(asPipelineUsageError(FLAGS));
    const report: EvalReport = {
      evaluation,
      title,
      ...given(subject, ['sha256', 'architecture']),
      weights: subject.name,
      encoder: common.encoder,
      crop: options.reading.globalSize,
      shards: common.shards.map(identityOf),
      valShards: common.valShards.map(identityOf),
      shuffledLabels: common.shuffleLabels,
      seed: common.seed,
      engine: engine.description,
      seconds: Math.round((performance.now() - began) / 100) / 10,
      at: new Date().toISOString(),
      ...found,
      notes: [...subject.warnings, ...(sizeUnknown ? sizeNotes(subject.name, options.reading.globalSize) : []), ...found.notes],
    };
    return { report, found, pictures, out };
  };
  const { report, pictures, out } = await withProgress({ title, interrupted: 'interrupted; the results of before are kept' }, work);
  // First, so that a file that cannot be written does not cost the evaluation.
  if (common.json) printJson(report);
  else printLines(reportLines(report));
  for (const [path, picture] of pictures) await writeOutput(path, picture);
  if (out === undefined) return;
  await addResult(out, name, report).catch((error: unknown) => {
    throw codeOf(error) === undefined ? error : writeError(out, error);
  });
  say(`${out}: kept as "${name}"`);
}

async function started(options: CommonOptions): Promise<Engine & AsyncDisposable> {
  const made = await selectEngine(options.engine, given(options, ['precision', 'device', 'threads'])).catch((error: unknown) => {
    throw new UsageError(error instanceof Error ? error.message : String(error), { cause: error });
  });
  say(`engine ${made.description}`);
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.dispose() });
}

function evaluationOptions({
  common,
  fields,
  engine,
  subject,
  watched: { signal, update },
}: {
  readonly common: CommonOptions & Judging;
  readonly fields: Pick<PipelineOptions, 'imageField' | 'labelField' | 'classNames'>;
  readonly engine: Engine;
  readonly subject: Subject;
  readonly watched: Watched;
}): EvaluationOptions {
  const { globalSize, limit, block } = common;
  return {
    ...given(common, ['stages', 'shards', 'valShards', 'shuffleLabels', 'seed']),
    engine,
    backbone: subject.backbone,
    reading: {
      ...fields,
      ...given(common, ['workers', 'cacheDir']),
      globalSize: globalSize ?? subject.globalSize ?? GLOBAL_SIZE,
      limit: limit ?? Infinity,
      batch: block,
    },
    signal,
    pause: async () => {
      await turn();
      signal.throwIfAborted();
    },
    onProgress: update,
  };
}

/** The confusion matrix of the last stage, for the file that was asked for. */
async function confusion(
  path: string | undefined,
  guesses: Readonly<Record<string, Guesses>>,
  labels: readonly number[],
  classes: number,
): Promise<[string, Uint8Array][]> {
  const last = Object.values(guesses).at(-1);
  return path === undefined || last === undefined ? [] : [[path, await confusionSheet(confusionOf(last, labels, classes), classes)]];
}

const picture = (path: string | undefined): Output => ({ path, result: 'picture' });

async function knn(raw: Raw): Promise<void> {
  const options = parseOptions(evalSchemas.knn, raw);
  const { confusion: confusionFile, neighbours: neighbourFile } = options;
  const files = { '--confusion': picture(confusionFile), '--neighbours': picture(neighbourFile) };
  const own = { ...given(options, ['k', 'temperature']), drawNeighbours: neighbourFile !== undefined };
  await run(
    'knn',
    'knn',
    options,
    async (asked) => {
      const { guesses, labels, neighbours, ...found } = await evaluateKnn({ ...asked, ...own });
      const sheets = neighbourFile !== undefined && neighbours ? [[neighbourFile, neighbours] as const] : [];
      return { found, pictures: new Map([...(await confusion(confusionFile, guesses, labels, found.classes)), ...sheets]) };
    },
    files,
  );
}

async function linear(raw: Raw): Promise<void> {
  const options = parseOptions(evalSchemas.linear, raw);
  const { protocol, cached, confusion: confusionFile } = options;
  const files = { '--confusion': picture(confusionFile) };
  const own = { protocol, cached, ...given(options, ['lr', 'epochs', 'batch', 'classes']) };
  await run(
    'linear',
    `linear ${protocol}${cached ? ' cached' : ''}`,
    options,
    async (asked) => {
      const { guesses, labels, ...found } = await evaluateLinear({ ...asked, ...own });
      return { found, pictures: new Map(await confusion(confusionFile, guesses, labels, found.classes)) };
    },
    files,
  );
}

async function svm(raw: Raw): Promise<void> {
  const options = parseOptions(evalSchemas.svm, raw);
  const own = given(options, ['classesField', 'costs']);
  await run('svm', 'svm', options, async (asked) => ({ found: await evaluateSvm({ ...asked, ...own }), pictures: new Map() }));
}

async function rank(raw: Raw): Promise<void> {
  const options = parseOptions(evalSchemas.rank, raw);
  await run('rank', 'rank', { ...options, ...JUDGES_NOTHING }, async (given) => ({
    found: await evaluateRank(given),
    pictures: new Map(),
  }));
}

export const EVALUATIONS: Readonly<Record<EvalName, (raw: Raw) => Promise<void>>> = { knn, linear, svm, rank };
