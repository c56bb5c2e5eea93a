/** `detco eval knn`: the training images vote on the validation images. */
import { counted } from '../common/counted.js';
import { type Accuracy, accuracyOf, type Guesses } from './classification.js';
import { classesOf, type EvaluationOptions, featuresOf, type FoundGuesses, imagesOf, LABEL_NEEDED } from './evaluation.js';
import type { Features, LabelledFeatures } from './features.js';
import { defaultNeighbours, knnGuesses, type KnnOptions, nearest, TEMPERATURE } from './knn.js';
import { oneClass, shuffled } from './labels.js';
import { topFiveNotes, unlabelledNotes, unseenNotes } from './notes.js';
import { normalizeRows } from './normalize-rows.js';
import { bankOnEngine } from './on-engine.js';
import { neighbourSheet, type Neighbours } from './sheets.js';

export interface KnnEvaluationOptions extends EvaluationOptions, KnnOptions {
  /** Whether a sheet of some queries and their neighbours is drawn. */
  readonly drawNeighbours?: boolean;
}

export interface FoundNeighbours extends FoundGuesses<Accuracy> {
  /** A PNG, by features of the last of the stages. */
  readonly neighbours?: Uint8Array;
}

/** Of a sheet: queries, and neighbours of each. */
const DRAWN_QUERIES = 8;
const DRAWN_NEIGHBOURS = 8;

export async function evaluateKnn(options: KnnEvaluationOptions): Promise<FoundNeighbours> {
  const { shards, valShards, stages, seed, shuffleLabels, drawNeighbours = false, signal, onProgress } = options;
  const [bankImages, queryImages] = [imagesOf(options, shards, oneClass), imagesOf(options, valShards, oneClass)];
  const bank = await featuresOf(bankImages, 'training images', LABEL_NEEDED, options);
  const queries = await featuresOf(queryImages, 'validation images', LABEL_NEEDED, options);
  const labelsOf = (of: Record<string, LabelledFeatures>, stream: string): readonly number[] => {
    const labels = of[stages[0] ?? '']?.labels ?? [];
    return shuffleLabels ? shuffled(labels, seed, stream) : labels;
  };
  const [bankLabels, labels] = [labelsOf(bank, 'train'), labelsOf(queries, 'val')];
  const classes = Math.max(classesOf(bankLabels, shards), classesOf(labels, valShards));
  const { k: asked = defaultNeighbours(bankLabels.length), temperature = TEMPERATURE } = options;
  const k = Math.min(asked, bankLabels.length);
  const guesses: Record<string, Guesses> = {};
  for (const [at, stage] of stages.entries()) {
    const [from, to] = [bank[stage], queries[stage]];
    if (from && to) guesses[stage] = await vote(from, to, bankLabels, { ...options, k, temperature });
    onProgress?.({ work: 'neighbours', done: at + 1, total: stages.length });
  }
  const [from, to] = [bank[stages.at(-1) ?? ''], queries[stages.at(-1) ?? '']];
  const rows = drawNeighbours && from && to ? await someNeighbours(from, to, bankLabels, labels) : undefined;
  return {
    images: { train: bankLabels.length, val: labels.length },
    classes,
    settings: { k, temperature },
    stages: Object.fromEntries(Object.entries(guesses).map(([stage, one]) => [stage, accuracyOf(one, labels, classes)])),
    notes: [
      ...unlabelledNotes(shards, bankImages.unlabelled),
      ...unlabelledNotes(valShards, queryImages.unlabelled),
      ...(shuffleLabels ? [] : unseenNotes(new Set(bankLabels), labels)),
      ...(k < asked ? [`k ${asked} is more than the ${counted(bankLabels.length, 'labelled training image')}: all of them vote`] : []),
      ...topFiveNotes(guesses, classes, k),
    ],
    guesses,
    labels,
    ...(rows && { neighbours: await neighbourSheet(queryImages, bankImages, rows, signal) }),
  };
}

/** The guesses of a bank for queries. */
export async function vote(
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  labels: readonly number[],
  { pause, ...options }: KnnOptions & Pick<EvaluationOptions, 'pause'>,
): Promise<Guesses> {
  using device = bankOnEngine(unit(bank));
  const similarities = async (block: Float32Array): Promise<Float32Array> => {
    await pause?.();
    return device.similarities(block);
  };
  return await knnGuesses(unit(queries), labels, similarities, options);
}

/** The nearest training images of validation images that are spread over all. */
async function someNeighbours(
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  bankLabels: readonly number[],
  labels: readonly number[],
): Promise<Neighbours[]> {
  using device = bankOnEngine(unit(bank));
  const { features, dimensions } = unit(queries);
  const count = Math.min(DRAWN_QUERIES, labels.length);
  const rows: Neighbours[] = [];
  for (let row = 0; row < count; row++) {
    const query = Math.floor((row * labels.length) / count);
    const cosines = await device.similarities(features.subarray(query * dimensions, (query + 1) * dimensions));
    const found = nearest(cosines, DRAWN_NEIGHBOURS).map((image) => ({ image, label: bankLabels[image] ?? NaN }));
    rows.push({ query, label: labels[query] ?? NaN, bank: found });
  }
  return rows;
}

function unit({ features, dimensions }: Features): Features {
  return { features: normalizeRows(features.slice(), dimensions), dimensions };
}
