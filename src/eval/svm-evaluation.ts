/** `detco eval svm`: a linear SVM for each class, as VOC07 classification has them. */
import { type Accuracy, accuracyOf, Guesses } from './classification.js';
import { assertClass, EvaluationError, type EvaluationOptions, featuresOf, type Found, imagesOf, LABEL_NEEDED } from './evaluation.js';
import type { LabelledFeatures } from './features.js';
import { classAsSet, classSet, type ClassSet, shuffled } from './labels.js';
import { type MeanPrecision, meanPrecision } from './mean-precision.js';
import { unlabelledNotes } from './notes.js';
import { normalizeRows } from './normalize-rows.js';
import { designOnEngine } from './on-engine.js';
import { COSTS, scoreImages, trainMachines } from './svm.js';

export interface SvmEvaluationOptions extends EvaluationOptions {
  /** Field that holds the classes of an image, of which it may have several; by default the one class of its label. */
  readonly classesField?: string;
  readonly costs?: readonly number[];
}

export interface SvmResult extends MeanPrecision {
  /** Of the highest score, where each image has one class. */
  readonly accuracy?: Accuracy;
  /** By class; null where the training images do not allow a machine. */
  readonly costs: readonly (number | null)[];
}

export async function evaluateSvm(options: SvmEvaluationOptions): Promise<Found<SvmResult>> {
  const { shards, valShards, stages, seed, shuffleLabels, classesField, costs = COSTS, pause, onProgress } = options;
  const field = classesField?.toLowerCase();
  const read = field === undefined ? classAsSet : classSet(field);
  const needs = field === undefined ? LABEL_NEEDED : `a sample needs KEY.${field} with its classes, as [3, 7]`;
  const withField = field === undefined ? options : { ...options, reading: { ...options.reading, fields: [field] } };
  const [trainImages, valImages] = [imagesOf(withField, shards, read), imagesOf(withField, valShards, read)];
  const train = await featuresOf(trainImages, 'training images', needs, options);
  const val = await featuresOf(valImages, 'validation images', needs, options);
  const setsOf = (of: Record<string, LabelledFeatures<ClassSet>>, stream: string): readonly ClassSet[] => {
    const sets = of[stages[0] ?? '']?.labels ?? [];
    return shuffleLabels ? shuffled(sets, seed, stream) : sets;
  };
  const [sets, valSets] = [setsOf(train, 'train'), setsOf(val, 'val')];
  const classes = classCount([...sets, ...valSets], [...shards, ...valShards]);
  const results: Record<string, SvmResult> = {};
  const notes = new Set([...unlabelledNotes(shards, trainImages.unlabelled), ...unlabelledNotes(valShards, valImages.unlabelled)]);
  for (const stage of stages) {
    const [from, to] = [train[stage], val[stage]];
    if (!from || !to) continue;
    using design = designOnEngine(unit(from));
    const machines = await trainMachines(design, sets, {
      classes,
      costs,
      ...(pause && { pause }),
      ...(onProgress && { onShare: (done) => onProgress({ work: `machines on ${stage}`, done, total: 1 }) }),
    });
    using valDesign = designOnEngine(unit(to));
    const scores = await scoreImages(valDesign, machines);
    const precision = meanPrecision(scores, valSets, classes, seed);
    const judged = precision.classes.filter((one) => one !== null).length;
    if (judged < classes) notes.add(`${judged} of ${classes} classes have images in both sets of shards: the means are over these`);
    results[stage] = {
      ...precision,
      ...(field === undefined && { accuracy: topOf(scores, valSets, classes) }),
      costs: machines.map((machine) => machine?.cost ?? null),
    };
  }
  return { images: { train: sets.length, val: valSets.length }, classes, settings: { costs }, stages: results, notes: [...notes] };
}

function unit({ features, dimensions }: LabelledFeatures<ClassSet>): LabelledFeatures<ClassSet> {
  return { features: normalizeRows(features, dimensions), dimensions, labels: [] };
}

function topOf(scores: Float32Array, sets: readonly ClassSet[], classes: number): Accuracy {
  const guesses = new Guesses(sets.length);
  guesses.setByScores(0, scores, classes);
  return accuracyOf(
    guesses,
    sets.map(({ present: [one = -1] }) => one),
    classes,
  );
}

function classCount(sets: readonly ClassSet[], shards: readonly string[]): number {
  const all = new Set(sets.flatMap(({ present }) => present));
  if (all.size === 0) throw new EvaluationError(`no image of ${shards.join(', ')} is of any class: expected sets such as [3, 7]`);
  if (all.size === 1 && sets.every(({ present }) => present.length === 1))
    throw new EvaluationError(
      `all images of ${shards.join(', ')} are of class ${[...all].join('')}: there is nothing to tell apart; give shards of several classes`,
    );
  const highest = [...all].reduce((a, b) => Math.max(a, b), 0);
  assertClass(highest, shards.join(', '));
  return highest + 1;
}
