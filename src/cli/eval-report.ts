/** What an evaluation found, as a table. */
import { counted } from '../common/counted.js';
import type { Accuracy } from '../eval/classification.js';
import type { LinearResult, SvmResult } from '../eval/index.js';
import type { Found } from '../eval/evaluation.js';
import type { RankResult } from '../eval/rank.js';
import { columns } from './columns.js';
import type { Encoder } from '../interop/index.js';
import type { ResNetOptions } from '../model/network/architecture.js';
import type { EvalName } from './eval-options.js';
import { architectureInWords } from './weights.js';

export type EvalFound = Found<Accuracy> | Found<LinearResult> | Found<SvmResult> | Found<RankResult>;

export interface EvalReport extends Found<Accuracy | LinearResult | SvmResult | RankResult> {
  readonly evaluation: EvalName;
  /** With what tells it from others of its kind: `linear moco cached`. */
  readonly title: string;
  /** File of the weights, or that they are random. */
  readonly weights: string;
  readonly encoder: Encoder;
  readonly architecture: ResNetOptions;
  /** Of the file of its weights. */
  readonly sha256?: string;
  /** Side of the crops, pixels. */
  readonly crop: number;
  readonly shards: readonly string[];
  readonly valShards: readonly string[];
  readonly shuffledLabels: boolean;
  readonly seed: number;
  readonly engine: string;
  readonly seconds: number;
  readonly at: string;
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const range = ([low, high]: readonly [number, number]): string => `${(100 * low).toFixed(1)}..${percent(high)}`;

const HEADS: Readonly<Record<EvalName, readonly string[]>> = {
  knn: ['stage', 'top-1', '95 % of top-1', 'top-5', 'chance', ''],
  linear: ['stage', 'top-1', '95 % of top-1', 'top-5', 'chance', 'lr', 'train loss', ''],
  svm: ['stage', 'mAP (11 points)', '95 % of mAP', 'mAP (area)', 'chance', '95 % of chance', 'top-1', ''],
  rank: ['stage', 'effective rank', 'dimensions', 'deviation', '1/sqrt(dimensions)'],
};

export function reportLines(report: EvalReport): string[] {
  const { evaluation, title, weights, sha256, encoder, architecture, crop, shuffledLabels, settings, stages, notes, seconds } = report;
  const { train, val } = report.images;
  const images =
    val === 0 ? counted(train, 'image') : `${train} training and ${val} validation images, ${counted(report.classes, 'class')}`;
  return [
    `${title}${shuffledLabels ? ', shuffled labels' : ''}: ${weights}, ${architectureInWords(architecture)}${sha256 === undefined ? '' : `, ${encoder} encoder`}`,
    `${images}, crops of ${crop} pixels${settingsInWords(evaluation, settings)}; ${seconds} s`,
    '',
    ...columns([HEADS[evaluation], ...Object.entries(stages).map(([stage, result]) => cells(stage, result))]),
    ...(notes.length > 0 ? ['', ...notes] : []),
  ];
}

function settingsInWords(evaluation: EvalName, { k, temperature, epochs, batch }: Readonly<Record<string, unknown>>): string {
  if (evaluation === 'knn') return `; k ${String(k)}, temperature ${String(temperature)}`;
  return evaluation === 'linear' ? `; ${String(epochs)} epochs, batch ${String(batch)}` : '';
}

function cells(stage: string, result: Accuracy | LinearResult | SvmResult | RankResult): string[] {
  if ('effectiveRank' in result) {
    const { effectiveRank, dimensions, deviation } = result;
    return [stage, effectiveRank.toFixed(1), String(dimensions), deviation.toFixed(4), (1 / Math.sqrt(dimensions)).toFixed(4)];
  }
  if ('map11' in result) {
    const { map11, interval, mapArea, chance, chanceInterval, accuracy, verdict } = result;
    const top1 = accuracy === undefined ? '-' : percent(accuracy.top1);
    return [stage, percent(map11), range(interval), percent(mapArea), percent(chance), range(chanceInterval), top1, verdict];
  }
  const { top1, top5, interval, chance, verdict } = result;
  const trained = 'rate' in result ? [String(result.rate), result.trainLoss.toFixed(3)] : [];
  return [stage, percent(top1), range(interval), top5 === undefined ? '-' : percent(top5), percent(chance), ...trained, verdict];
}
