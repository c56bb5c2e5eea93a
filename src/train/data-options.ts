/** The options of a run as its pipelines take them, and what they have to say as the run says it. */
import { type CacheEvent, type PipelineOptions, SourceError } from '../pipeline/index.js';
import { PipelineOptionError } from '../pipeline/option-error.js';
import { type ShardLeftOut, warnOncePerKind } from '../pipeline/shard/left-out.js';
import { given } from '../common/options.js';
import { formatByteSize } from '../common/byte-size.js';
import { identityOf } from '../pipeline/source/identity.js';
import type { TrainConfig } from './config-schema.js';
import { OptionsError } from './options-error.js';
import type { TrainHooks } from './hooks.js';
import { optionName } from './flags.js';

/** Time between two lines about shards that are asked for. */
const ANSWERS_MS = 5000;

/** What the pipeline says of its options, and of shards that cannot be listed, is about the run's options; `about` is put before it. */
export function asOptionsError(error: unknown, about?: string): never {
  if (!(error instanceof RangeError || error instanceof SourceError)) throw error;
  const message = error instanceof PipelineOptionError ? `${optionName(error.option)}: ${error.problem}` : error.message;
  throw new OptionsError(about === undefined ? message : `${about}: ${message}`, { cause: error });
}

export type SampleOptions = Pick<PipelineOptions, 'imageField' | 'labelField' | 'classNames' | 'onLeftOut'>;

/** What members of shards are what. What is left out is recorded for each shard, and warned of once for each reason. */
export function sampleOptions(
  config: Pick<TrainConfig, 'imageField' | 'labelField'>,
  classNames: readonly string[] | undefined,
  hooks: TrainHooks,
  record: (leftOut: ShardLeftOut) => unknown,
): SampleOptions {
  const warn = warnOncePerKind((warning) => hooks.onWarning?.(warning));
  return {
    ...given(config, ['imageField', 'labelField']),
    ...(classNames && { classNames }),
    onLeftOut: (leftOut) => {
      record(leftOut);
      warn(leftOut);
    },
  };
}

/** A disk that is full stays full for many shards. */
export function warnOnce(hooks: TrainHooks): (event: CacheEvent) => void {
  let warned = false;
  return ({ kind, url, reason }) => {
    if (kind !== 'failed' || warned) return;
    warned = true;
    hooks.onWarning?.(`${url}: ${reason}. The run goes on without; this is said once`);
  };
}

/** It takes as long as an epoch takes to read, and no update is made meanwhile. */
export function sayRewritten({ onInfo, onWork }: TrainHooks): NonNullable<PipelineOptions['onRewritten']> {
  return ({ shards, bytes }) => {
    const what = `${shards} ${shards === 1 ? 'shard' : 'shards'} that were written again (${formatByteSize(bytes)})`;
    onInfo?.(`reads ${what}, to see whether their images are those of the run (--check-shards sizes leaves it out)`);
    onWork?.(`reading ${what}`);
  };
}

/** What has to answer before it is known which shards there are: servers of `specs`, as `https://host` or `s3://bucket`. */
export function waitingFor(specs: readonly string[]): string {
  const servers = new Set(specs.flatMap((spec) => /^(https?|s3):\/\/[^/]+/i.exec(identityOf(spec))?.[0] ?? []));
  return `waiting for ${servers.size > 0 ? [...servers].join(', ') : 'the shards to be found'}`;
}

/** A server far away takes its time for many shards. */
export function sayProgress({ onInfo }: TrainHooks): NonNullable<PipelineOptions['onAnswer']> {
  let said = performance.now();
  return ({ asked, total }) => {
    if (performance.now() - said < ANSWERS_MS) return;
    said = performance.now();
    onInfo?.(`asked for ${asked} of ${total} shards (--check-shards none leaves it out)`);
  };
}
