/**
 * Milliseconds that the decoders take for an image on one thread, processor time and wall, in turn: `node bench/decode.mjs [shard...]`.
 * `wasm` writes into memory that is there, as in a pipeline; `sharp` hands out memory of its own.
 */
import { loadImage } from '../dist/pipeline/worker/decode.js';
import { DECODERS } from '../dist/pipeline/worker/decoders.js';
import { loadImages } from './pipeline/load.mjs';
import { benchShards } from './pipeline/shards.mjs';

const ROUNDS = 9;
const shards = process.argv.slice(2);
const images = await loadImages(shards.length > 0 ? shards : await benchShards(320), 96);

const room = new Uint8Array(3 * 4096 * 4096);
const memory = {
  load: (image) => image,
  fill: (width, height, write) => (write(room.subarray(0, 3 * width * height)) ? { width, height } : undefined),
};

async function measure(decoder) {
  const before = process.cpuUsage();
  const start = performance.now();
  for (const image of images) await loadImage(image, memory, { decoder });
  const wallMs = (performance.now() - start) / images.length;
  const { user, system } = process.cpuUsage(before);
  return { cpuMs: (user + system) / 1000 / images.length, wallMs };
}

const rounds = Object.fromEntries(DECODERS.map((decoder) => [decoder, []]));
// The first round is for V8's second compiler.
for (let round = 0; round <= ROUNDS; round++) {
  for (const decoder of DECODERS) {
    const times = await measure(decoder);
    if (round > 0) rounds[decoder].push(times);
  }
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const rounded = (value) => Number(value.toFixed(3));
const result = Object.fromEntries(
  Object.entries(rounds).map(([decoder, times]) => [
    decoder,
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
