/** A linear classifier of cells: the class of the object whose box covers the middle of a cell, or background. */
import { Random, streamId } from '../../dist/common/random.js';
import { fitCached } from '../../dist/eval/linear-cached.js';
import { coveredBy } from './boxes.mjs';
import { mean } from './statistics.mjs';

/** Covered cells of an image that are learned from: neighbours are much alike. */
const PER_IMAGE = 4;

/** The class of each cell of each image, image after image; `background` where no box covers it. */
export function cellLabels(boxes, grid, size, background) {
  return boxes.flatMap((objects) =>
    coveredBy(
      objects.map(({ box }) => box),
      grid,
      size,
    ).map((object) => (object === -1 ? background : objects[object].label)),
  );
}

/** Mean over the classes that occur of the share of their cells that is guessed right. */
export function balancedAccuracy(guessed, labels) {
  const counts = new Map();
  for (const [at, label] of labels.entries()) {
    const one = counts.get(label) ?? { cells: 0, right: 0 };
    counts.set(label, { cells: one.cells + 1, right: one.right + (guessed[at] === label ? 1 : 0) });
  }
  return mean([...counts.values()].map(({ cells, right }) => right / cells));
}

/**
 * Trains on as many cells of background as a class has on average, and is judged on all cells.
 *
 * @param train, test { features, dimensions, grid, boxes }
 * @returns balanced accuracy over the classes and background, [0, 1]
 */
export async function probeCells(engine, train, test, { classes, size, plan }) {
  const { seed } = plan;
  const labels = cellLabels(train.boxes, train.grid, size, classes);
  const rows = chosenCells(labels, train.grid ** 2, classes, new Random(seed, streamId('cells')));
  const features = new Float32Array(rows.length * train.dimensions);
  for (const [at, row] of rows.entries())
    features.set(train.features.subarray(row * train.dimensions, (row + 1) * train.dimensions), at * train.dimensions);
  const chosen = { features, dimensions: train.dimensions, labels: rows.map((row) => labels[row]) };
  const fit = await fitCached(engine, chosen, { ...plan, classes: classes + 1 });
  const guesses = await fit.guess(test);
  fit[Symbol.dispose]();
  const truth = cellLabels(test.boxes, test.grid, size, classes);
  return balancedAccuracy(
    truth.map((_, row) => guesses.best(row)),
    truth,
  );
}

function chosenCells(labels, perImage, background, random) {
  const covered = [];
  for (let from = 0; from < labels.length; from += perImage) {
    const cells = [...random.permutation(perImage)].map((cell) => from + cell).filter((row) => labels[row] !== background);
    covered.push(...cells.slice(0, PER_IMAGE));
  }
  const empty = [...random.permutation(labels.length)].filter((row) => labels[row] === background);
  return [...covered, ...empty.slice(0, Math.ceil(covered.length / background))];
}
