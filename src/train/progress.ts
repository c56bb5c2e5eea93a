/** What people see of a run while it trains. */
import { formatDuration } from '../common/duration.js';
import type { Display } from '../common/display.js';
import type { TrainHooks } from './hooks.js';
import { RecentUpdates } from './recent-updates.js';
import type { StepMetrics } from './metrics.js';

/** `epoch 3  loss 12.345  210.4 images/s  data wait 2 %  ETA 3m05s` */
function describe(metrics: StepMetrics, recent: RecentUpdates<StepMetrics>, totalSteps: number | undefined): string {
  const mean = (of: (one: StepMetrics) => number): number => recent.mean(of) ?? of(metrics);
  const perStepMs = mean(updateMs);
  const images = mean((one) => (one.imagesPerSecond * updateMs(one)) / 1000);
  const probeTop1 = recent.mean((one) => one.probeTop1);
  const left = totalSteps === undefined ? undefined : totalSteps - metrics.step;
  return [
    `epoch ${metrics.epoch}`,
    `loss ${metrics.loss.toFixed(3)}`,
    ...(probeTop1 === undefined ? [] : [`probe ${percent(probeTop1)}`]),
    `lr ${metrics.lr.toPrecision(3)}`,
    `${((1000 * images) / perStepMs).toFixed(1)} images/s`,
    `data wait ${Math.round((100 * mean(({ dataWaitMs }) => dataWaitMs)) / perStepMs)} %`,
    ...(left === 0 ? [] : [`ETA ${formatDuration(left === undefined ? undefined : (left * perStepMs) / 1000)}`]),
  ].join('  ');
}

/** Of an update with its wait for data. */
function updateMs({ stepMs, dataWaitMs }: StepMetrics): number {
  return stepMs + dataWaitMs;
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}

/** Hooks that print, and `close` to end with. */
export interface Progress extends Required<Omit<TrainHooks, 'onRun'>> {
  close(): void;
}

/** Shows a run on `display`: how far it is as a state, and what was found, saved or refused as lines that stay. */
export function trainProgress(display: Display): Progress {
  const recent = new RecentUpdates<StepMetrics>();
  return {
    onStep(metrics, totalSteps, estimated) {
      recent.add(metrics);
      const { step } = metrics;
      const of = totalSteps === undefined ? '' : `/${estimated ? '~' : ''}${totalSteps}`;
      // Of what has no known end nothing is done yet.
      display.show(`step ${step}${of}  ${describe(metrics, recent, totalSteps)}`, step / (totalSteps ?? Infinity));
    },
    onEvaluation: ({ step, knnTop1, effectiveRank, probeTop1 }) => {
      const found = [
        ...(knnTop1 === undefined ? [] : [`kNN top-1 ${percent(knnTop1)}`]),
        ...(probeTop1 === undefined ? [] : [`probe top-1 ${percent(probeTop1)}`]),
        ...(effectiveRank === undefined ? [] : [`effective rank ${effectiveRank.toFixed(1)}`]),
      ];
      display.print(`step ${step}  ${found.join('  ')}${step === 0 ? ' (untrained)' : ''}`);
    },
    onCheckpoint: (path) => display.print(`checkpoint ${path}`),
    onWork: (name) => display.work(name),
    onInfo: (message) => display.print(message),
    onWarning: (message) => display.warn(message),
    close: () => display.end(),
  };
}
