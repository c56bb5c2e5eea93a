/** What people see of a run while it trains. */
import { joinFields } from '../common/bar-line.js';
import { formatDuration } from '../common/duration.js';
import type { Display } from '../common/display.js';
import type { TrainHooks } from './hooks.js';
import { RecentUpdates } from './recent-updates.js';
import type { StepMetrics } from './metrics.js';

/** What a narrow terminal does without, the first first; the count, the rate and the time to go stay the longest. */
const SPARE = ['lr', 'wait', 'probe', 'epoch', 'loss'] as const;

/** `step 40/~760  epoch 3  loss 12.345  lr 0.0300  210.4 images/s  data wait 2 %  ETA 3m05s`, then the same in fewer words */
function describe(
  metrics: StepMetrics,
  recent: RecentUpdates<StepMetrics>,
  { totalSteps, estimated }: { readonly totalSteps: number | undefined; readonly estimated: boolean },
): readonly [string, ...string[]] {
  const mean = (of: (one: StepMetrics) => number): number => recent.mean(of) ?? of(metrics);
  const perStepMs = mean(updateMs);
  const images = mean((one) => (one.imagesPerSecond * updateMs(one)) / 1000);
  const probeTop1 = recent.mean((one) => one.probeTop1);
  const { step } = metrics;
  const left = totalSteps === undefined ? undefined : totalSteps - step;
  const fields = {
    step: `step ${step}${totalSteps === undefined ? '' : `/${estimated ? '~' : ''}${totalSteps}`}`,
    epoch: `epoch ${metrics.epoch}`,
    loss: `loss ${metrics.loss.toFixed(3)}`,
    probe: probeTop1 === undefined ? undefined : `probe ${percent(probeTop1)}`,
    lr: `lr ${metrics.lr.toPrecision(3)}`,
    rate: `${((1000 * images) / perStepMs).toFixed(1)} images/s`,
    wait: `data wait ${Math.round((100 * mean(({ dataWaitMs }) => dataWaitMs)) / perStepMs)} %`,
    eta: left === 0 ? undefined : `ETA ${formatDuration(left === undefined ? undefined : (left * perStepMs) / 1000)}`,
  };
  const without = (count: number): string =>
    joinFields(...Object.values({ ...fields, ...Object.fromEntries(SPARE.slice(0, count).map((name) => [name, undefined])) }));
  const brief = totalSteps === undefined ? fields.step : `${Math.floor((100 * step) / totalSteps)} %`;
  return [
    without(0),
    ...SPARE.map((_, at) => without(at + 1)),
    joinFields(brief, fields.rate, fields.eta),
    joinFields(fields.step, fields.eta),
    joinFields(brief, fields.eta),
    brief,
  ];
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
      const [text, ...shorter] = describe(metrics, recent, { totalSteps, estimated });
      // Of what has no known end nothing is done yet.
      display.show(text, metrics.step / (totalSteps ?? Infinity), shorter);
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
