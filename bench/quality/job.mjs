/**
 * One piece of a comparison, in a process of its own with one thread for tensors: `search` trains an arm briefly and says what kNN makes of
 * it, `run` trains it whole and evaluates it, `colour` says what colours tell by themselves. Takes JSON in its argument, prints JSON.
 */
import { selectEngine } from '../../dist/engine/index.js';
import { configOf } from './arms.mjs';
import { colourAccuracy, evaluate, searchScore } from './evaluate.mjs';
import { mean } from './statistics.mjs';
import { trainArm } from './train.mjs';

const { kind, arm, rate, seed, updates, engine: name, shards, settings } = JSON.parse(process.argv[2]);
// Two processes with a thread each make more of two cores than one with two: the networks are small.
const engine = await selectEngine(name, { device: 'cpu', ...(name === 'wasm' ? {} : { threads: 1 }) });
const began = performance.now();
const result = kind === 'colour' ? { linear: await colourAccuracy(engine, shards, { ...settings, seed }) } : await trained();
console.log(JSON.stringify({ ...result, seconds: (performance.now() - began) / 1000, engine: engine.description }));
await engine.dispose();

async function trained() {
  const config = configOf(arm, settings, { shards: shards.train, indexDir: shards.index, rate, seed, updates, engine: name });
  const { method, losses, updateSeconds } = await trainArm(engine, config, { images: settings.images.train, updates });
  const trainSeconds = (performance.now() - began) / 1000;
  const last = losses.slice(-20);
  const loss = { first: losses[0], last: last.length > 0 ? mean(last) : undefined };
  // A rate that is too high is no error here: another one is found better.
  const pace = { loss, trainSeconds, updates: losses.length, ...(updateSeconds !== undefined && { updateSeconds }) };
  if (!losses.every(Number.isFinite)) return { diverged: losses.length, ...pace, ...(kind === 'search' && { knn: 0 }) };
  const { backbone } = method;
  const scores =
    kind === 'search'
      ? { knn: await searchScore(engine, backbone, shards, settings) }
      : { numbers: await evaluate(engine, backbone, shards, { ...settings, seed }) };
  method.dispose();
  return { ...scores, ...pace };
}
