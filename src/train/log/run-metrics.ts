/** What Prometheus is told of a run: the last of what its hooks said, and sums since this process began. In seconds and bytes. */
import type { TrainHooks } from '../hooks.js';
import type { EvaluationMetrics, StepMetrics } from '../metrics.js';
import type { Family, Sample } from './prometheus-text.js';

type Value = number | undefined | readonly Sample[];

const ratio = 'from 0 to 1';

export class RunMetrics {
  #run: string | undefined;
  #last: StepMetrics | undefined;
  #expected: number | undefined;
  #evaluation: EvaluationMetrics | undefined;
  #checkpointAt: number | undefined;
  readonly #sums = { updates: 0, updateMs: 0, waitMs: 0, checkpoints: 0, warnings: 0 };

  /** These hooks, which tell this as well. */
  listening(hooks: TrainHooks): TrainHooks {
    return {
      ...hooks,
      onRun: (path) => {
        this.#run = path;
        hooks.onRun?.(path);
      },
      onStep: (metrics, ...of) => {
        this.#last = metrics;
        [this.#expected] = of;
        this.#sums.updates++;
        this.#sums.updateMs += metrics.stepMs;
        this.#sums.waitMs += metrics.dataWaitMs;
        hooks.onStep?.(metrics, ...of);
      },
      onEvaluation: (metrics) => {
        this.#evaluation = metrics;
        hooks.onEvaluation?.(metrics);
      },
      onCheckpoint: (path) => {
        this.#sums.checkpoints++;
        this.#checkpointAt = Date.now();
        hooks.onCheckpoint?.(path);
      },
      onWarning: (message) => {
        this.#sums.warnings++;
        hooks.onWarning?.(message);
      },
    };
  }

  families(): Family[] {
    const last: Partial<StepMetrics> = this.#last ?? {};
    const evaluation: Partial<EvaluationMetrics> = this.#evaluation ?? {};
    const sums = this.#sums;
    const { user, system } = process.cpuUsage();
    const gauge = (name: string, help: string, value: Value): Family => ({ name, type: 'gauge', help, samples: samplesOf(value) });
    const counter = (name: string, help: string, value: number): Family => ({ name, type: 'counter', help, samples: [{ value }] });
    return [
      gauge('detco_run_info', 'The folder of the run; always 1', labelled('run', this.#run === undefined ? {} : { [this.#run]: 1 })),
      gauge('detco_step', 'Updates of the run that are done', last.step),
      gauge('detco_steps_expected', 'Updates of the whole run, an estimate in its first epoch', last.step && this.#expected),
      gauge('detco_epoch', 'Epoch of the last update, from 0', last.epoch),
      gauge('detco_last_update_timestamp_seconds', 'When the last update was done, in seconds since 1970', seconds(last.timeMs)),
      gauge('detco_loss', 'Loss of the last update', last.loss),
      gauge('detco_loss_term', 'Terms of that loss, unweighted', labelled('term', last.terms)),
      gauge('detco_learning_rate', 'Learning rate of the last update', last.lr),
      gauge('detco_images_per_second', 'Images per second of the last update, over all ranks', last.imagesPerSecond),
      gauge('detco_feature_std', 'Spread of the queries of the last update; 0 when they collapsed', last.featureStd),
      gauge('detco_probe_loss', 'Cross-entropy of the linear probe on the last batch', last.probeLoss),
      gauge('detco_probe_top1_ratio', `Accuracy of the linear probe on the last batch, ${ratio}`, last.probeTop1),
      counter('detco_updates_total', 'Updates that this process made', sums.updates),
      counter('detco_update_seconds_total', 'Seconds that they took once they had their batch', sums.updateMs / 1000),
      counter('detco_data_wait_seconds_total', 'Seconds that they waited for their batch', sums.waitMs / 1000),
      gauge('detco_evaluation_step', 'Updates that were done before the last evaluation', evaluation.step),
      gauge('detco_evaluation_knn_top1_ratio', `kNN accuracy, ${ratio}, by stage`, labelled('stage', evaluation.knnTop1ByStage)),
      gauge('detco_evaluation_probe_top1_ratio', `Accuracy of the linear probe on validation images, ${ratio}`, evaluation.probeTop1),
      gauge('detco_evaluation_effective_rank', 'Effective rank of the features', evaluation.effectiveRank),
      gauge('detco_evaluation_feature_deviation', 'Spread of the features; 0 when they are all alike', evaluation.featureDeviation),
      counter('detco_checkpoints_total', 'Checkpoints that this process wrote', sums.checkpoints),
      gauge(
        'detco_last_checkpoint_timestamp_seconds',
        'When the last of them was complete, in seconds since 1970',
        seconds(this.#checkpointAt),
      ),
      counter('detco_warnings_total', 'Warnings of this process', sums.warnings),
      gauge('process_resident_memory_bytes', 'Memory of this process, workers included', process.memoryUsage.rss()),
      counter('process_cpu_seconds_total', 'Processor time of this process, user and system', (user + system) / 1e6),
      gauge('process_start_time_seconds', 'When this process began, in seconds since 1970', Date.now() / 1000 - process.uptime()),
    ];
  }
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}

function labelled(label: string, values: Readonly<Record<string, number>> = {}): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }));
}

function samplesOf(value: Value): readonly Sample[] {
  if (value === undefined) return [];
  return typeof value === 'number' ? [{ value }] : value;
}
