/** Progress for people on stderr: a bar on a terminal, a plain line every few seconds elsewhere. */
import { SingleBar } from 'cli-progress';
import { formatDuration } from './duration.js';
import type { TrainHooks } from './hooks.js';
import { RecentUpdates } from './recent-updates.js';
import type { StepMetrics } from './metrics.js';
import { printable } from '../common/printable.js';

/** Between plain lines. */
const LINE_INTERVAL_MS = 5000;
/** Of work that takes longer it is told how long it has taken so far: on a terminal each second, in plain lines each time that has doubled. */
const LONG_WORK_MS = 5000;
const TICK_MS = 1000;
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
export interface Progress extends Required<TrainHooks> {
  close(): void;
}

export function terminalProgress(stream: NodeJS.WriteStream): Progress {
  const recent = new RecentUpdates<StepMetrics>();
  let lastLineAt = -Infinity;
  let bar: SingleBar | undefined;
  let shown = '';
  let work: { readonly name: string; readonly since: number; tellAt: number } | undefined;

  const ticker = setInterval(() => {
    if (work === undefined) return;
    const ms = performance.now() - work.since;
    if (ms < work.tellAt) return;
    const told = `${work.name}: ${formatDuration(ms / 1000)} so far`;
    if (!stream.isTTY) {
      work.tellAt = 2 * ms;
      print(told);
    } else if (bar) bar.update({ text: `${shown}  ${told}` });
    else stream.write(`\r\u001b[2K${told}`);
  }, TICK_MS);
  // The work keeps the process alive, not its display.
  ticker.unref();

  /** Prints above the bar: the bar is drawn again at the next step. */
  const print = (line: string) => {
    if (stream.isTTY) stream.write('\r\u001b[2K');
    stream.write(`${printable(line)}\n`);
  };

  return {
    onStep(metrics, totalSteps, estimated) {
      recent.add(metrics);
      const text = describe(metrics, recent, totalSteps);
      shown = text;
      const about = estimated ? '~' : '';
      if (stream.isTTY) {
        // Of what has no known end nothing is done yet.
        const total = totalSteps ?? Infinity;
        const totalText = totalSteps === undefined ? '?' : `${about}${totalSteps}`;
        if (bar === undefined) {
          stream.write('\r\u001b[2K');
          bar = new SingleBar({
            stream,
            format: '{bar} {value}/{totalText}  {text}',
            hideCursor: true,
            barsize: 20,
            clearOnComplete: true,
            stopOnComplete: false,
          });
          bar.start(total, metrics.step, { text, totalText });
        }
        bar.setTotal(total);
        bar.update(metrics.step, { text, totalText });
        return;
      }
      const at = performance.now();
      if (at - lastLineAt < LINE_INTERVAL_MS) return;
      lastLineAt = at;
      print(`step ${metrics.step}${totalSteps === undefined ? '' : `/${about}${totalSteps}`}  ${text}`);
    },
    onEvaluation: ({ step, knnTop1, effectiveRank, probeTop1 }) => {
      const found = [
        ...(knnTop1 === undefined ? [] : [`kNN top-1 ${percent(knnTop1)}`]),
        ...(probeTop1 === undefined ? [] : [`probe top-1 ${percent(probeTop1)}`]),
        ...(effectiveRank === undefined ? [] : [`effective rank ${effectiveRank.toFixed(1)}`]),
      ];
      print(`step ${step}  ${found.join('  ')}${step === 0 ? ' (untrained)' : ''}`);
    },
    onCheckpoint: (path) => print(`checkpoint ${path}`),
    onWork: (name) => {
      work = name === '' ? undefined : { name, since: performance.now(), tellAt: LONG_WORK_MS };
    },
    onInfo: (message) => print(message),
    onWarning: (message) => print(`warning: ${message}`),
    close: () => {
      clearInterval(ticker);
      work = undefined;
      bar?.stop();
    },
  };
}
