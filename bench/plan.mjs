/**
 * What one of many ranks needs to plan an epoch of a large data set: time of a core, and memory. No shard is read.
 *
 *     npm run bench:plan -- [--shards 100000] [--samples 14000000] [--ranks 64] [--lanes 256] [--batch 4096] [--json]
 *
 * Plans an epoch as a worker does, each lane of the rank for itself, and joins the states of all ranks as a checkpoint does. Fails above
 * one second or 100 MB.
 */
import { Random } from '../dist/common/random.js';
import { divideSamples } from '../dist/pipeline/plan/division.js';
import { epochSteps, laneShards, laneShare } from '../dist/pipeline/plan/lanes.js';
import { advance, epochBeginning, joinStates, rankLanes } from '../dist/pipeline/plan/state.js';
import { readOptions, wholeNumber } from './arguments.mjs';

const MOST = { seconds: 1, megabytes: 100 };
const names = { shards: '100000', samples: '14000000', ranks: '64', lanes: '256', batch: '4096' };
const values = readOptions({
  ...Object.fromEntries(Object.entries(names).map(([name, fallback]) => [name, { type: 'string', default: fallback }])),
  json: { type: 'boolean', default: false },
});
const [shards, samples, ranks, lanes, batch] = Object.keys(names).map((name) => wholeNumber(name, values[name]));
if (globalThis.gc === undefined) {
  console.error('bench:plan: run it with node --expose-gc, as npm run bench:plan does');
  process.exit(2);
}

const resident = () => process.memoryUsage.rss() / 1e6;
gc();
const before = resident();
/** Of this process, so that what else runs on the machine does not count. */
const cpuMs = () => process.cpuUsage().user / 1000;
const began = cpuMs();

// As they come out of the index: shards of unequal length.
const random = new Random(1);
const mean = samples / shards;
const counts = Array.from({ length: shards }, () => Math.round(mean * (0.9 + 0.2 * random.uniform())));
const batchSize = batch / ranks;
const division = divideSamples(counts, { lanes, worldSize: ranks, batchSize, dropLast: true });
const plan = { shards, lanes, seed: 1, shuffle: 64, division };
const rank = ranks - 1;
const own = rankLanes({ lanes, rank, worldSize: ranks });
const parts = own.map((lane) => ({ shards: laneShards(plan, 3, lane), share: laneShare(plan, lane) }));
const planned = cpuMs();

const options = (of) => ({ lanes, rank: of, worldSize: ranks, batchSize, divide: 'samples' });
const states = Array.from({ length: ranks }, (_, of) => {
  const served = rankLanes({ lanes, rank: of, worldSize: ranks });
  const taken = Array.from({ length: batchSize }, (_row, i) => {
    const good = Math.floor(i / served.length) + 1;
    return { lane: served[i % served.length], taken: good, good };
  });
  return advance(epochBeginning(3, 0, options(of)), taken);
});
const joined = joinStates(states);
const ended = cpuMs();

const result = {
  steps: epochSteps(plan, ranks, batchSize),
  lanesOfRank: own.length,
  shardsOfRank: parts.reduce((sum, part) => sum + part.shards.length, 0),
  planMs: Math.round(planned - began),
  joinMs: Math.round(ended - planned),
  megabytes: Math.round(resident() - before),
  laneStates: joined.lanes.length,
};
if (values.json) console.log(JSON.stringify(result));
else
  console.log(
    `${shards} shards, ${samples} samples, ${ranks} ranks, ${lanes} lanes: rank ${rank} reads ${result.shardsOfRank} shards in ` +
      `${result.lanesOfRank} lanes and makes ${result.steps} steps; planned in ${result.planMs} ms, states joined in ${result.joinMs} ms, ` +
      `${result.megabytes} MB`,
  );
const over = result.planMs + result.joinMs > 1000 * MOST.seconds || result.megabytes > MOST.megabytes;
if (over) console.error(`bench:plan: more than ${MOST.seconds} s or ${MOST.megabytes} MB`);
process.exitCode = over ? 1 : 0;
