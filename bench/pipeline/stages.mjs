/**
 * What decoding and augmenting cost when each is alone on one core, milliseconds of CPU an image. Options as JSON in the first
 * argument; prints one JSON line.
 */
import { createAugmenter } from '../../dist/pipeline/augment/augmenter.js';
import { viewBytes } from '../../dist/pipeline/augment/recipe.js';
import { recipes } from '../../dist/pipeline/augment/recipes.js';
import { decodeImage } from '../../dist/pipeline/worker/decode.js';
import { loadImages } from './load.mjs';

const { shards } = JSON.parse(process.argv[2]);
const images = await loadImages(shards, 200);

async function cpuMs(work) {
  const before = process.cpuUsage();
  for (let i = 0; i < images.length; i++) await work(images[i], i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000 / images.length;
}

const decoded = [];
// Once to let the kernels' second compiler finish.
for (const image of images) decoded.push(await decodeImage(image, { decoder: 'wasm' }));
const decodeMs = await cpuMs((image) => decodeImage(image, { decoder: 'wasm' }));
const sharpMs = await cpuMs((image) => decodeImage(image, { decoder: 'sharp' }));

async function augmentMs(recipe) {
  const augmenter = await createAugmenter(recipe);
  const out = Object.fromEntries(
    Object.entries(recipe.views).map(([name, view]) => [name, new Uint8Array(new SharedArrayBuffer(viewBytes(view)))]),
  );
  const render = (_image, i) => {
    const loaded = augmenter.load(decoded[i]);
    loaded.render({ seed: 7, epoch: 0, shard: 0, index: i }, out);
    loaded.unload();
  };
  // Once to let the kernels' second compiler finish.
  await cpuMs(render);
  return cpuMs(render);
}

const pixels = decoded.reduce((sum, { width, height }) => sum + width * height, 0) / decoded.length;
console.log(
  JSON.stringify({
    decodeMs,
    sharpMs,
    augmentMs: await augmentMs(recipes.detco({ randAugment: false })),
    augmentRandAugmentMs: await augmentMs(recipes.detco()),
    meanPixels: Math.round(pixels),
    meanJpegBytes: Math.round(images.reduce((sum, image) => sum + image.length, 0) / images.length),
  }),
);
