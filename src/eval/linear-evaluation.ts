/** `detco eval linear`: a linear classifier on the frozen backbone. */
import { counted } from '../common/counted.js';
import { type Accuracy, accuracyOf, type Guesses } from './classification.js';
import { classesOf, EvaluationError, type EvaluationOptions, featuresOf, type FoundGuesses, imagesOf, LABEL_NEEDED } from './evaluation.js';
import { oneClass, type ReadLabel, shuffled } from './labels.js';
import { fitAugmented } from './linear-augmented.js';
import { fitCached, type LinearFit, RATES } from './linear-cached.js';
import { LINEAR_BATCH, LINEAR_PROTOCOLS, type LinearPlan, type ProtocolName } from './linear-protocols.js';
import { topFiveNotes, unlabelledNotes, unseenNotes } from './notes.js';
import { quoted } from '../common/quoted.js';
import { Random, streamId } from '../common/random.js';
import type { SampleInfo } from '../pipeline/index.js';

export interface LinearOptions extends EvaluationOptions {
  readonly protocol: ProtocolName;
  /** Whether features are computed once, instead of anew from other crops in each epoch. */
  readonly cached: boolean;
  /** Learning rate at batch 256. By default the protocol's; of cached features the best of several. */
  readonly lr?: number;
  readonly epochs?: number;
  /** Images a step. */
  readonly batch?: number;
  /** By default as many as have names, or one more than the highest label of the validation images, or of all where features are cached. */
  readonly classes?: number;
}

export interface LinearResult extends Accuracy {
  /** Learning rate at batch 256. */
  readonly rate: number;
  /** Mean cross-entropy of the training images over the last epoch. */
  readonly trainLoss: number;
}

export async function evaluateLinear(options: LinearOptions): Promise<FoundGuesses<LinearResult>> {
  const { valShards, stages, seed, shuffleLabels, protocol: name, cached } = options;
  const protocol = LINEAR_PROTOCOLS[name];
  const { epochs = protocol.epochs, batch = LINEAR_BATCH } = options;
  const searched = cached && options.lr === undefined;
  const queryImages = imagesOf(options, valShards, oneClass);
  const queries = await featuresOf(queryImages, 'validation images', LABEL_NEEDED, options);
  const known = queries[stages[0] ?? '']?.labels ?? [];
  const labels = shuffleLabels ? shuffled(known, seed, 'val') : known;
  const plan = { protocol, batch, epochs, seed, classes: enough(options, classesOf(known, valShards), valShards) };
  const {
    fits,
    train,
    trained,
    unlabelled,
    classes,
    batch: used,
  } = cached ? await onCached(plan, options) : await onAugmented(plan, options, labels);
  const results: Record<string, LinearResult> = {};
  const guesses: Record<string, Guesses> = {};
  for (const stage of stages) {
    const [fit, features] = [fits[stage], queries[stage]];
    if (!fit || !features) continue;
    using _fit = fit;
    const diverged = (what: string) =>
      new EvaluationError(
        `the linear classifier on ${stage} diverged at learning rate ${fit.rate}: ${what}; ${lowerRate(options)}. ` +
          'Where low rates diverge, too, the weights are broken: evaluate an earlier checkpoint',
      );
    if (!Number.isFinite(fit.loss)) throw diverged(`its train loss is ${fit.loss}`);
    const guessed = await fit.guess(features);
    const lost = guessed.fewerThan(1);
    if (lost > 0) throw diverged(`scores of ${lost} of ${counted(labels.length, 'validation image')} are infinite or no numbers`);
    guesses[stage] = guessed;
    results[stage] = { ...accuracyOf(guessed, labels, classes), rate: fit.rate, trainLoss: fit.loss };
  }
  return {
    images: { train, val: labels.length },
    classes,
    settings: { protocol: name, cached, epochs, batch: used },
    stages: results,
    notes: [
      ...unlabelledNotes(options.shards, unlabelled),
      ...unlabelledNotes(valShards, queryImages.unlabelled),
      ...(shuffleLabels ? [] : unseenNotes(trained, labels)),
      ...(searched ? [] : tooHigh(results, classes, lowerRate(options))),
      ...topFiveNotes(guesses, classes),
    ],
    guesses,
    labels,
  };
}

/** Where a classifier does worse on what it is trained on than one that knows nothing. */
function tooHigh(results: Readonly<Record<string, LinearResult>>, classes: number, remedy: string): string[] {
  const guess = Math.log(classes);
  const bad = Object.entries(results).filter(([, { trainLoss }]) => trainLoss > guess);
  return bad.map(
    ([stage, { trainLoss, rate }]) =>
      `${stage}: a train loss of ${trainLoss.toFixed(3)} is above that of a guess, ${guess.toFixed(3)}: the learning rate ${rate} is too high ` +
      `for these features; ${remedy}`,
  );
}

/** What to do about a learning rate that is too high. */
function lowerRate({ cached, lr }: LinearOptions): string {
  if (!cached) return 'give a lower --lr, or --cached, which searches one';
  return lr === undefined ? 'give a lower --lr' : `give a lower --lr, or leave --lr out: the best of ${RATES.join(', ')} is taken then`;
}

/** As many classes as were asked for, or as have names, or as the labels of some shards are of. */
function enough({ classes: asked, reading: { classNames = [] } }: LinearOptions, found: number, shards: readonly string[]): number {
  if (asked !== undefined && asked < found)
    throw new EvaluationError(
      `--classes ${asked}: the labels of ${shards.join(', ')} go up to ${found - 1}; give --classes ${found}, or leave it out`,
    );
  return asked ?? Math.max(found, classNames.length);
}

/** Of a training image whose class the classifier has no place for: how many there are is known from the validation images alone. */
function tooFewClasses({ key, shard }: SampleInfo, found: number, classes: number, { classes: asked }: LinearOptions): EvaluationError {
  const why =
    asked === undefined
      ? `the validation images, which tell how many classes there are, go up to ${classes - 1}`
      : `--classes ${asked} has room for 0..${asked - 1}`;
  return new EvaluationError(
    `${quoted(key)} of ${shard} has class ${found}, and ${why}: give --classes with the number of classes of the training images, ` +
      `at least ${found + 1}`,
  );
}

interface Fitted {
  readonly fits: Readonly<Record<string, LinearFit & Disposable>>;
  /** Training images. */
  readonly train: number;
  /** Their classes. */
  readonly trained: ReadonlySet<number>;
  /** Of the training shards. */
  readonly unlabelled: number;
  readonly classes: number;
  /** Images a step. */
  readonly batch: number;
}

async function onCached(plan: LinearPlan, options: LinearOptions): Promise<Fitted> {
  const { engine, shards, stages, seed, shuffleLabels, lr, pause, onProgress } = options;
  const images = imagesOf(options, shards, oneClass);
  const found = await featuresOf(images, 'training images', LABEL_NEEDED, options);
  const known = found[stages[0] ?? '']?.labels ?? [];
  const labels = shuffleLabels ? shuffled(known, seed, 'train') : known;
  const classes = Math.max(plan.classes, enough(options, classesOf(labels, shards), shards));
  const batch = Math.min(plan.batch, labels.length);
  const fits: Record<string, LinearFit & Disposable> = {};
  for (const stage of stages) {
    const features = found[stage];
    if (!features) continue;
    fits[stage] = await fitCached(
      engine,
      { ...features, labels },
      { ...plan, classes, batch },
      {
        ...(lr !== undefined && { rate: lr }),
        ...(pause && { pause }),
        ...(onProgress && { onShare: (done) => onProgress({ work: `linear classifier on ${stage}`, done, total: 1 }) }),
      },
    );
  }
  return { fits, train: labels.length, trained: new Set(labels), unlabelled: images.unlabelled, classes, batch };
}

async function onAugmented(plan: LinearPlan, options: LinearOptions, valLabels: readonly number[]): Promise<Fitted> {
  const { engine, backbone, stages, shards, reading, seed, shuffleLabels, lr, signal, pause, onProgress } = options;
  const { globalSize, limit: _limit, batch: _batch, ...rest } = reading;
  const [seen, unlabelled] = [new Set<string>(), new Set<string>()];
  const trained = new Set<number>();
  const label: ReadLabel<number> = (sample) => {
    const found = oneClass(sample);
    const id = `${sample.shard} ${sample.key}`;
    if (found === undefined) {
      unlabelled.add(id);
      return undefined;
    }
    seen.add(id);
    trained.add(found);
    if (!shuffleLabels && found >= plan.classes) throw tooFewClasses(sample, found, plan.classes, options);
    // How many images there are is not known yet: each gets the label of some validation image, the same one in each epoch.
    return shuffleLabels ? valLabels[new Random(seed, streamId('shuffled labels'), streamId(id)).below(valLabels.length)] : found;
  };
  const fits = await fitAugmented(plan, {
    engine,
    backbone,
    stages,
    reading: { ...rest, shards, ...(signal && { signal }) },
    label,
    globalSize,
    ...(lr !== undefined && { rate: lr }),
    ...(pause && { pause }),
    ...(onProgress && { onShare: (done) => onProgress({ work: 'linear classifier', done, total: 1 }) }),
  });
  if (seen.size === 0) throw new EvaluationError(`no labelled image in ${shards.join(', ')}: ${LABEL_NEEDED}`);
  return { fits, train: seen.size, trained, unlabelled: unlabelled.size, classes: plan.classes, batch: plan.batch };
}
