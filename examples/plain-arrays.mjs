/**
 * Batches as plain arrays: the mean and the standard deviation of each colour over a set of shards, by which images are normalised.
 *
 *     node plain-arrays.mjs SHARDS...
 */
import { createPipeline, recipes } from 'detco/pipeline';

const shards = process.argv.slice(2);
const recipe = recipes.evaluation({ globalSize: 96 }); // one centred view, `image`, without augmentation
const pipeline = await createPipeline({ shards, recipe, batchSize: 64, shuffle: false, dropLast: false });

const sum = [0, 0, 0];
const squares = [0, 0, 0];
let images = 0;
let pixels = 0;
for await (const batch of pipeline) {
  const { data } = batch.views.image; // Uint8Array, [batch.size, 96, 96, 3]: red, green and blue of one pixel after the other
  for (let i = 0; i < data.length; i++) {
    const level = data[i] / 255;
    sum[i % 3] += level;
    squares[i % 3] += level * level;
  }
  images += batch.size;
  pixels += data.length / 3;
}

const mean = sum.map((total) => total / pixels);
const std = squares.map((total, channel) => Math.sqrt(total / pixels - mean[channel] ** 2));
const listed = (/** @type {readonly number[]} */ numbers) => numbers.map((number) => number.toFixed(3)).join(', ');
console.log(`${images} images: mean ${listed(mean)}; standard deviation ${listed(std)}`);
