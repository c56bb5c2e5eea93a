/** Where a pipeline stands, as a few integers: how they move, join, and which of them a pipeline can go on from. */
import type { PipelineState } from '../batch/batch.js';

/** Whether an epoch's shards are dealt to lanes whole, or their samples cut into equal runs. */
export type Divide = 'shards' | 'samples';

/** What of a pipeline's options its states depend on. */
export interface StateOptions {
  /** Of all ranks. */
  readonly lanes: number;
  readonly rank: number;
  readonly worldSize: number;
  readonly batchSize: number;
  readonly divide: Divide;
}

/** The lanes that a rank serves. */
export function rankLanes({ lanes, rank, worldSize }: Pick<StateOptions, 'lanes' | 'rank' | 'worldSize'>): number[] {
  return Array.from({ length: lanes / worldSize }, (_, i) => rank + i * worldSize);
}

/** The state at the beginning of an epoch. */
export function epochBeginning(epoch: number, step: number, { lanes, worldSize, batchSize, divide }: StateOptions): PipelineState {
  const untouched = Array.from({ length: lanes }, () => ({ taken: 0, good: 0 }));
  return { epoch, step, epochStart: step, lanes: untouched, worldSize, batchSize, divide };
}

/** How far a sample's lane had come with it. */
interface LanePlace {
  readonly lane: number;
  readonly taken: number;
  readonly good: number;
}

/** The state after a batch of these samples. */
export function advance(state: PipelineState, samples: readonly LanePlace[]): PipelineState {
  const lanes = [...state.lanes];
  for (const { lane, taken, good } of samples) {
    if (good > (lanes[lane]?.good ?? 0)) lanes[lane] = { taken, good };
  }
  return { ...state, step: state.step + 1, lanes };
}

/** Of the state after the last batch of an epoch: the state at the beginning of the next. */
export function nextEpoch(state: PipelineState): PipelineState {
  return { ...state, epoch: state.epoch + 1, epochStart: state.step, lanes: state.lanes.map(() => ({ taken: 0, good: 0 })) };
}

/**
 * The state that a pipeline with these options goes on from. At an epoch's beginning anything may have changed; within
 * one, `worldSize` and `batchSize` only if every rank then finds its lanes where its own steps would have left them.
 * @throws RangeError that says what does not fit and what to do
 */
export function resumedState(state: PipelineState, options: StateOptions): PipelineState {
  const { lanes, worldSize, batchSize, divide } = options;
  if (state.lanes.every(({ taken }) => taken === 0)) return epochBeginning(state.epoch, state.step, options);
  if (state.lanes.length !== lanes) {
    throw new RangeError(
      `Pipeline option resume: the state has ${state.lanes.length} lanes and the pipeline ${lanes}; resume with lanes: ${state.lanes.length}`,
    );
  }
  const was = { worldSize: state.worldSize ?? 1, divide: state.divide ?? 'shards' };
  const within = `Pipeline option resume: the state lies within epoch ${state.epoch}`;
  if (was.divide !== divide) {
    throw new RangeError(
      `${within}, which is divided by ${was.divide}, and the pipeline divides by ${divide}; finish the epoch with divide: '${was.divide}'` +
        (was.divide === 'shards' ? `; if it is over, resume with nextEpoch(state)` : ''),
    );
  }
  if (!fits(state, options)) {
    const made = state.batchSize === undefined ? '' : ` with batchSize ${state.batchSize} on worldSize ${was.worldSize}`;
    const all = (state.batchSize ?? 0) * was.worldSize;
    const remedy =
      `finish the epoch with the old sizes` +
      (divide === 'samples' && state.batchSize !== undefined
        ? `, or, if ${all} is a multiple of the ${lanes} lanes, resume with batchSize x worldSize = ${all}` +
          (was.worldSize > 1 ? '; the states of all ranks must have been joined with joinStates()' : '')
        : '');
    throw new RangeError(
      `${within}, made${made}, and its lanes are not where batchSize ${batchSize} on worldSize ${worldSize} would have left them; ${remedy}`,
    );
  }
  return { ...state, worldSize, batchSize, divide };
}

/** Whether this rank would have left its lanes there. */
function fits(state: PipelineState, options: StateOptions): boolean {
  const steps = state.step - state.epochStart;
  if (options.divide === 'samples') {
    return rankLanes(options).every((lane, i) => state.lanes[lane]?.good === laneGood(steps * options.batchSize, i, options));
  }
  // The last batch of an epoch may be smaller.
  const good = state.lanes.reduce((sum, lane) => sum + lane.good, 0);
  return Math.ceil(good / options.batchSize) === steps;
}

/** Good samples of a rank's `i`-th lane among the first `count` of the rank, when none of its lanes has run dry. */
function laneGood(count: number, i: number, { lanes, worldSize }: Pick<StateOptions, 'lanes' | 'worldSize'>): number {
  const own = lanes / worldSize;
  return Math.floor(count / own) + (i < count % own ? 1 : 0);
}

/**
 * Joins the states that all ranks had after the same step into one, from which any of them, or another number of ranks,
 * can resume. The order of the states does not matter.
 * @throws RangeError when they are not the states of all ranks at one step
 */
export function joinStates(states: readonly PipelineState[]): PipelineState {
  const [first] = states;
  if (!first) throw new RangeError('joinStates: no state was given; expected those of all ranks');
  const { worldSize = 1, batchSize = 0 } = first;
  if (states.length !== worldSize) {
    throw new RangeError(`joinStates: got ${states.length} states of a pipeline with worldSize ${worldSize}; expected one of each rank`);
  }
  for (const name of ['epoch', 'step', 'epochStart', 'batchSize', 'worldSize', 'divide'] as const) {
    const other = states.find((state) => state[name] !== first[name]);
    if (other)
      throw new RangeError(
        `joinStates: the states differ in ${name}: ${first[name]} and ${other[name]}; expected those after the same step`,
      );
  }
  const lanes = first.lanes.map((_, lane) =>
    // A rank leaves the lanes of the others where they were when it began.
    states.map((state) => state.lanes[lane] ?? { taken: 0, good: 0 }).reduce((most, one) => (one.taken > most.taken ? one : most)),
  );
  const joined = { ...first, lanes };
  const begun = worldSize > 1 && lanes.some(({ taken }) => taken > 0);
  const ranks = Array.from({ length: begun ? worldSize : 0 }, (_, rank) => rank);
  const absent = ranks.find((rank) => !fits(joined, { lanes: lanes.length, rank, worldSize, batchSize, divide: 'samples' }));
  if (absent !== undefined) {
    throw new RangeError(
      `joinStates: no state has the samples of rank ${absent}; expected one state of each rank after step ${first.step}`,
    );
  }
  return joined;
}
