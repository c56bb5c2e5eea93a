/** What a frozen backbone is worth, as numbers by name: `knn.res5`, `linear.res2`, `cells.res3`, `ap50`, `rank.res5`. */
import { featureRank, vote } from '../../dist/eval/index.js';
import { fitCached } from '../../dist/eval/linear-cached.js';
import { LINEAR_BATCH, LINEAR_PROTOCOLS } from '../../dist/eval/linear-protocols.js';
import { STAGES } from '../../dist/model/index.js';
import { CLASSES } from '../../dist/synth/classes.js';
import { probeCells } from './cell-probe.mjs';
import { detectorAp50 } from './detector.mjs';
import { CELL_STAGES, first, readFeatures, synthImages } from './features.mjs';

const classes = CLASSES.length;

/** kNN accuracy of res5 on the images that choose learning rates. */
export async function searchScore(engine, backbone, shards, { labelled, images, evaluationSize }) {
  const bank = await readFeatures(engine, backbone, synthImages(shards.train, evaluationSize, labelled));
  const queries = await readFeatures(engine, backbone, synthImages(shards.search, evaluationSize, images.search));
  return accuracy(await vote(bank.pooled.res5, queries.pooled.res5, bank.pooled.res5.labels, {}), queries.pooled.res5);
}

export async function evaluate(engine, backbone, shards, settings) {
  const { labelled, boxed, images, evaluationSize, linearEpochs, cellEpochs, detectorEpochs, seed } = settings;
  const train = await readFeatures(engine, backbone, synthImages(shards.train, evaluationSize, labelled));
  const test = await readFeatures(engine, backbone, synthImages(shards.test, evaluationSize, images.test));
  const plan = linearPlan(linearEpochs, seed);
  const numbers = {};
  for (const stage of STAGES) {
    const [from, to] = [train.pooled[stage], test.pooled[stage]];
    numbers[`knn.${stage}`] = accuracy(await vote(from, to, from.labels, {}), to);
    numbers[`linear.${stage}`] = await linearAccuracy(engine, from, to, plan);
    numbers[`rank.${stage}`] = featureRank(to).effectiveRank;
  }
  const withBoxes = first(boxed, train);
  for (const stage of CELL_STAGES)
    numbers[`cells.${stage}`] = await probeCells(
      engine,
      { ...withBoxes.cells[stage], boxes: withBoxes.boxes },
      { ...test.cells[stage], boxes: test.boxes },
      { classes, size: evaluationSize, plan: linearPlan(cellEpochs, seed) },
    );
  numbers.ap50 = await detectorAp50(engine, withBoxes, test, { classes, size: evaluationSize, epochs: detectorEpochs, seed });
  return numbers;
}

/** Linear accuracy of how often each level of red, green and blue occurs: what colour alone tells. */
export async function colourAccuracy(engine, shards, { labelled, images, evaluationSize, linearEpochs, seed }) {
  const train = await histograms(synthImages(shards.train, evaluationSize, labelled));
  const test = await histograms(synthImages(shards.test, evaluationSize, images.test));
  return linearAccuracy(engine, train, test, linearPlan(linearEpochs, seed));
}

function linearPlan(epochs, seed) {
  return { protocol: LINEAR_PROTOCOLS.lightly, classes, batch: LINEAR_BATCH, epochs, seed };
}

async function linearAccuracy(engine, train, test, plan) {
  const fit = await fitCached(engine, train, plan);
  const guesses = await fit.guess(test);
  fit[Symbol.dispose]();
  return accuracy(guesses, test);
}

function accuracy(guesses, { labels }) {
  return guesses.top(1, labels);
}

const BINS = 8;
const CHANNELS = 3;

async function histograms(images) {
  const rows = [];
  const labels = [];
  for await (const { pixels, labels: truth } of images.blocks()) {
    const each = pixels.length / truth.length;
    for (const [image, { label }] of truth.entries()) {
      const counts = new Float32Array(BINS * CHANNELS);
      for (let at = image * each; at < (image + 1) * each; at++) {
        const bin = (at % CHANNELS) * BINS + Math.floor((pixels[at] * BINS) / 256);
        counts[bin] += (BINS * CHANNELS) / each;
      }
      rows.push(counts);
      labels.push(label);
    }
  }
  const features = new Float32Array(rows.length * BINS * CHANNELS);
  for (const [at, row] of rows.entries()) features.set(row, at * row.length);
  return { features, dimensions: BINS * CHANNELS, labels };
}
