/** The features and the numbers of fixtures/golden/evaluation.json, which scikit-learn, SciPy, NumPy and PyTorch made. */
import { readFileSync } from 'node:fs';
import type { LabelledFeatures } from '#dist/eval/features.js';

interface Golden {
  readonly classes: number;
  readonly dimensions: number;
  readonly trainHundredths: number[];
  readonly trainLabels: number[];
  readonly valHundredths: number[];
  readonly valLabels: number[];
  readonly linear: {
    readonly top1: number;
    readonly loss: number;
    readonly sgd: {
      readonly rate: number;
      readonly losses: number[];
      readonly weight: number[][];
      readonly bias: number[];
    };
  };
  readonly svm: {
    readonly costs: number[];
    readonly fits: { readonly cost: number; readonly weights: number[] }[];
    readonly classes: {
      readonly crossValidated: number[];
      readonly cost: number;
      readonly scores: number[];
      readonly averagePrecision: number;
      readonly area: number;
      readonly elevenPoints: number;
    }[];
  };
  readonly rank: { readonly effectiveRank: number; readonly singularValues: number[]; readonly deviation: number };
  readonly knn: { readonly k: number; readonly temperature: number; readonly top1: number; readonly top2: number };
  readonly wilson: { readonly right: number; readonly of: number; readonly interval: [number, number] }[];
}

export const golden = JSON.parse(readFileSync('fixtures/golden/evaluation.json', 'utf8')) as Golden;

const features = (hundredths: readonly number[], labels: readonly number[]): LabelledFeatures => ({
  features: Float32Array.from(hundredths, (value) => value / 100),
  dimensions: golden.dimensions,
  labels,
});

export const train = (): LabelledFeatures => features(golden.trainHundredths, golden.trainLabels);
export const val = (): LabelledFeatures => features(golden.valHundredths, golden.valLabels);
