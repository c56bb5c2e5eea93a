/**
 * Milliseconds that the decoders take for an image on one thread, processor time and wall, in turn: `node bench/decode.mjs [shard...]`.
 * `wasm` writes into memory that is there, as in a pipeline, `half` and `quarter` too, at that size; `sharp` hands out memory of its own.
 */
import { loadImage } from '../dist/pipeline/worker/decode.js';
import { loadImages } from './pipeline/load.mjs';
import { benchShards } from './pipeline/shards.mjs';

const ROUNDS = 9;
const shards = process.argv.slice(2);
const images = await loadImages(shards.length > 0 ? shards : await benchShards(320), 96);

const room = new Uint8Array(3 * 4096 * 4096);
const memory = {
  load: (image) => image,
  fill: (width, height, times, write) => write(room.subarray(0, 3 * Math.ceil(width / times) * Math.ceil(height / times))) || undefined,
};

const WAYS = {
  wasm: { decoder: 'wasm' },
  half: { decoder: 'wasm', draft: () => 2 },
  quarter: { decoder: 'wasm', draft: () => 4 },
  sharp: { decoder: 'sharp' },
};

async function measure(options) {
  const before = process.cpuUsage();
  const start = performance.now();
  for (const image of images) await loadImage(image, memory, options);
  const wallMs = (performance.now() - start) / images.length;
  const { user, system } = process.cpuUsage(before);
  return { cpuMs: (user + system) / 1000 / images.length, wallMs };
}

const rounds = Object.fromEntries(Object.keys(WAYS).map((way) => [way, []]));
// The first round is for V8's second compiler.
for (let round = 0; round <= ROUNDS; round++) {
  for (const [way, options] of Object.entries(WAYS)) {
    const times = await measure(options);
    if (round > 0) rounds[way].push(times);
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const rounded = (value) => Number(value.toFixed(3));
const result = Object.fromEntries(
  Object.entries(rounds).map(([way, times]) => [
    way,
    { cpuMs: rounded(median(times.map(({ cpuMs }) => cpuMs))), wallMs: rounded(median(times.map(({ wallMs }) => wallMs))) },
  ]),
);
console.log(
  JSON.stringify({
    images: images.length,
    meanBytes: Math.round(images.reduce((sum, { length }) => sum + length, 0) / images.length),
    ...result,
  }),
);
