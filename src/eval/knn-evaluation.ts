/** `detco eval knn`: the training images vote on the validation images. */
import { counted } from '../common/counted.js';
import { type Accuracy, accuracyOf, type Guesses } from './classification.js';
import { classesOf, type EvaluationOptions, featuresOf, type FoundGuesses, imagesOf, LABEL_NEEDED } from './evaluation.js';
import type { LabelledFeatures } from './features.js';
import { defaultNeighbours, knnGuesses, type KnnOptions } from './knn.js';
import { oneClass, shuffled } from './labels.js';
import { normalizeRows } from './normalize-rows.js';
import { bankOnEngine } from './on-engine.js';

export async function evaluateKnn(options: EvaluationOptions & KnnOptions): Promise<FoundGuesses<Accuracy>> {
  const { shards, valShards, stages, seed, shuffleLabels, onProgress } = options;
  const bank = await featuresOf(imagesOf(options, shards, oneClass), 'training images', LABEL_NEEDED, options);
  const queries = await featuresOf(imagesOf(options, valShards, oneClass), 'validation images', LABEL_NEEDED, options);
  const labelsOf = (of: Record<string, LabelledFeatures>, stream: string): readonly number[] => {
    const labels = of[stages[0] ?? '']?.labels ?? [];
    return shuffleLabels ? shuffled(labels, seed, stream) : labels;
  };
  const [bankLabels, labels] = [labelsOf(bank, 'train'), labelsOf(queries, 'val')];
  const classes = Math.max(classesOf(bankLabels, shards), classesOf(labels, valShards));
  const { k: asked = defaultNeighbours(bankLabels.length) } = options;
  const k = Math.min(asked, bankLabels.length);
  const guesses: Record<string, Guesses> = {};
  for (const [at, stage] of stages.entries()) {
    const [from, to] = [bank[stage], queries[stage]];
    if (from && to) guesses[stage] = await vote(from, to, bankLabels, { ...options, k });
    onProgress?.({ work: 'neighbours', done: at + 1, total: stages.length });
  }
  return {
    images: { train: bankLabels.length, val: labels.length },
    classes,
    settings: { k, ...(options.temperature !== undefined && { temperature: options.temperature }) },
    stages: Object.fromEntries(Object.entries(guesses).map(([stage, one]) => [stage, accuracyOf(one, labels, classes)])),
    notes: k < asked ? [`k ${asked} is more than the ${counted(bankLabels.length, 'labelled training image')}: all vote`] : [],
    guesses,
    labels,
  };
}

/** The guesses of a bank for queries. */
export async function vote(
  bank: LabelledFeatures,
  queries: LabelledFeatures,
  labels: readonly number[],
  { pause, ...options }: KnnOptions & Pick<EvaluationOptions, 'pause'>,
): Promise<Guesses> {
  const { dimensions } = bank;
  const unit = ({ features }: LabelledFeatures) => ({ features: normalizeRows(features.slice(), dimensions), dimensions });
  using device = bankOnEngine(unit(bank));
  const similarities = async (block: Float32Array): Promise<Float32Array> => {
    await pause?.();
    return device.similarities(block);
  };
  return knnGuesses(unit(queries), labels, similarities, options);
}
