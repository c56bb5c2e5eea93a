/** What the evaluations of an encoder have in common: what they are given, what they find, and what they refuse. */
import type { Engine } from '../engine/engine.js';
import type { Backbone, Stage } from '../model/index.js';
import type { Guesses } from './classification.js';
import { extractFeatures, type LabelledFeatures } from './features.js';
import { EvaluationImages, type ImageOptions } from './images.js';
import { MOST_CLASSES, type ReadLabel } from './labels.js';

/** What is being done, and how far it is: images, or a share of 1. */
export interface ProgressOf {
  readonly work: string;
  readonly done: number;
  readonly total: number | undefined;
  /** Whether `total` is an estimate. */
  readonly estimated?: boolean;
}

export interface EvaluationOptions {
  readonly engine: Engine;
  readonly backbone: Pick<Backbone, 'features' | 'channels'>;
  readonly stages: readonly Stage[];
  readonly shards: readonly string[];
  readonly valShards: readonly string[];
  /** How shards are read: side of the crops, fields, workers, cache. */
  readonly reading: Omit<ImageOptions, 'shards' | 'label'>;
  readonly seed: number;
  /** Labels in another order: what is left is chance, or there is a fault. */
  readonly shuffleLabels: boolean;
  readonly signal?: AbortSignal;
  /** Awaited between pieces of work; what it throws ends the evaluation. */
  readonly pause?: () => Promise<void>;
  readonly onProgress?: (progress: ProgressOf) => void;
}

/** What an evaluation has found. */
export interface Found<StageResult> {
  readonly images: { readonly train: number; readonly val: number };
  readonly classes: number;
  /** What was done, beyond what was asked for: neighbours that voted, the learning rate. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly stages: Readonly<Record<string, StageResult>>;
  /** What the user is to know before the numbers are believed. */
  readonly notes: readonly string[];
}

/** Of evaluations that guess the class of each image. */
export interface FoundGuesses<StageResult> extends Found<StageResult> {
  /** By stage. */
  readonly guesses: Readonly<Record<string, Guesses>>;
  /** Of the validation images, as they were judged. */
  readonly labels: readonly number[];
}

/** Data that cannot be evaluated; the message says what to do. */
export class EvaluationError extends Error {
  override name = 'EvaluationError';
}

/** The images of `specs`, centre crops. */
export function imagesOf<Label>(
  { reading }: EvaluationOptions,
  shards: readonly string[],
  label: ReadLabel<Label>,
): EvaluationImages<Label> {
  return new EvaluationImages({ ...reading, shards, label });
}

/**
 * Features of images by stage, with progress.
 *
 * @param needs what a sample has to have, for the message when none has
 * @throws EvaluationError without labelled images, or for features that are no numbers
 */
export async function featuresOf<Label>(
  images: EvaluationImages<Label>,
  work: string,
  needs: string,
  { engine, backbone, stages, signal, pause, onProgress }: EvaluationOptions,
): Promise<Record<string, LabelledFeatures<Label>>> {
  const found = await extractFeatures(images, {
    engine,
    backbone,
    stages,
    ...(signal && { signal }),
    ...(pause && { pause }),
    ...(onProgress && { onImages: (done, total) => onProgress({ work, done, total, estimated: images.estimated }) }),
  });
  const done = found[stages[0] ?? '']?.labels.length ?? 0;
  if (done > 0) onProgress?.({ work, done, total: done });
  for (const [stage, { features, dimensions, labels }] of Object.entries(found)) {
    if (labels.length === 0) throw new EvaluationError(`no labelled image in ${images.shards.join(', ')}: ${needs}`);
    const at = features.findIndex((value) => !Number.isFinite(value));
    if (at >= 0)
      throw new EvaluationError(
        `the features of ${stage} hold ${features[at]} (image ${Math.floor(at / dimensions)} of ${images.shards.join(', ')}): the weights are broken; evaluate an earlier checkpoint`,
      );
  }
  return found;
}

/**
 * How many classes labels are of, from 0 on.
 *
 * @throws EvaluationError for labels of one class alone, and for numbers that are no classes
 */
export function classesOf(labels: readonly number[], shards: readonly string[]): number {
  const [first = 0] = labels;
  const highest = labels.reduce((a, b) => Math.max(a, b), 0);
  const where = shards.join(', ');
  assertClass(highest, where);
  if (labels.every((label) => label === first)) {
    const every = labels.length === 1 ? `the only labelled image of ${where} is` : `all ${labels.length} labelled images of ${where} are`;
    throw new EvaluationError(`${every} of class ${first}: there is nothing to tell apart; give shards of several classes`);
  }
  return highest + 1;
}

/** @throws EvaluationError for a number too high for a class */
export function assertClass(highest: number, where: string): void {
  if (highest >= MOST_CLASSES)
    throw new EvaluationError(`the labels of ${where} go up to ${highest}: expected class numbers below ${MOST_CLASSES}`);
}

export const LABEL_NEEDED = 'a sample needs KEY.cls with its class number, from 0 on (--label-field and --classes-file name others)';
