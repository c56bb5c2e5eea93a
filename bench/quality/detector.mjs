/**
 * A small detector on frozen maps: each cell of res3, with the cell of res4 above it, goes through one hidden layer and says a class (or none)
 * and how far the four sides of the box are. No anchors; cells in the middle of a box learn it, as in FCOS (Tian et al., ICCV 2019).
 */
import * as tf from '@tensorflow/tfjs-core';
import { meanAp50, suppress } from './ap50.mjs';
import { cellMiddles, coveredBy } from './boxes.mjs';
import { DetectorHead, SIDES } from './detector-head.mjs';

/** Images that are predicted at once. */
const BLOCK = 100;
const RATE = 0.03;
/** Of each side of a box: the cells in it learn the box, those beside it and yet in the box learn nothing. */
const MIDDLE = 0.5;

/**
 * @param train, test { cells, boxes } of `readFeatures`
 * @returns AP50, [0, 1]
 */
export async function detectorAp50(engine, train, test, { classes, size, epochs, seed }) {
  const rows = joined(train.cells);
  const scale = standardise(rows);
  const targets = targetsOf(train.boxes, rows.grid, size, classes);
  const head = await fitted(engine, rows, targets, { classes, epochs, seed });
  const others = joined(test.cells);
  standardise(others, scale);
  const found = await detections(head, others, { classes, size });
  head.dispose();
  return meanAp50(found, test.boxes, classes);
}

/** A head that has learned; at a third of the rate where it came to no finite numbers. */
async function fitted(engine, rows, targets, { classes, epochs, seed }) {
  for (let rate = RATE; rate > RATE / 100; rate /= 3) {
    const head = new DetectorHead(engine, rows.dimensions, classes, seed);
    await head.fit(rows, targets, { epochs, seed, rate });
    if (head.isFinite()) return head;
    head.dispose();
  }
  throw new Error('the detector came to no finite numbers at any rate: the features are broken');
}

/** Cells of res3, and with each the one of res4 that lies there: { values [images x cells, dimensions], dimensions, grid }. */
function joined({ res3, res4 }) {
  const { grid } = res3;
  const dimensions = res3.dimensions + res4.dimensions;
  const images = res3.features.length / (grid * grid * res3.dimensions);
  const values = new Float32Array(images * grid * grid * dimensions);
  for (let image = 0, row = 0; image < images; image++)
    for (let y = 0; y < grid; y++)
      for (let x = 0; x < grid; x++, row++) {
        const above = image * res4.grid ** 2 + Math.floor((y * res4.grid) / grid) * res4.grid + Math.floor((x * res4.grid) / grid);
        values.set(res3.features.subarray(row * res3.dimensions, (row + 1) * res3.dimensions), row * dimensions);
        values.set(res4.features.subarray(above * res4.dimensions, (above + 1) * res4.dimensions), row * dimensions + res3.dimensions);
      }
  return { values, dimensions, grid };
}

/** Brings each dimension to mean 0 and deviation 1, in place; returns by what, for other images. */
function standardise({ values, dimensions }, scale = momentsOf(values, dimensions)) {
  for (let at = 0; at < values.length; at++) {
    const { mean, deviation } = scale[at % dimensions];
    values[at] = (values[at] - mean) / deviation;
  }
  return scale;
}

function momentsOf(values, dimensions) {
  const rows = values.length / dimensions;
  const [sums, squares] = [new Float64Array(dimensions), new Float64Array(dimensions)];
  for (let at = 0; at < values.length; at++) {
    sums[at % dimensions] += values[at];
    squares[at % dimensions] += values[at] ** 2;
  }
  return Array.from(sums, (sum, dimension) => {
    const mean = sum / rows;
    return { mean, deviation: Math.sqrt(Math.max(0, squares[dimension] / rows - mean ** 2)) || 1 };
  });
}

/** A side of the picture is so many units of a distance: numbers near 1 are learned well. */
const UNITS = 4;

/**
 * What the cells learn: { classes [rows, classes + 1] one-hot, zero for those that learn nothing; sides [rows, 4] left, top, right, bottom;
 * covered [rows] 1 where there is a box }.
 */
function targetsOf(boxes, grid, size, classes) {
  const cells = grid * grid;
  const rows = boxes.length * cells;
  const middles = cellMiddles(grid, size);
  const targets = {
    classes: new Float32Array(rows * (classes + 1)),
    sides: new Float32Array(rows * SIDES),
    covered: new Float32Array(rows),
  };
  for (const [image, objects] of boxes.entries()) {
    const extents = objects.map(({ box }) => box);
    const [inside, middle] = [coveredBy(extents, grid, size), coveredBy(extents, grid, size, MIDDLE)];
    for (let cell = 0, row = image * cells; cell < cells; cell++, row++) {
      const object = objects[middle[cell]];
      if (object === undefined) {
        if (inside[cell] === -1) targets.classes[row * (classes + 1) + classes] = 1;
        continue;
      }
      const [x, y] = middles[cell];
      const [left, top, right, bottom] = object.box;
      targets.covered[row] = 1;
      targets.classes[row * (classes + 1) + object.label] = 1;
      targets.sides.set(
        [x - left, y - top, right - x, bottom - y].map((distance) => (distance * UNITS) / size),
        row * SIDES,
      );
    }
  }
  return targets;
}

/** The boxes that the head finds in each image. */
async function detections(head, { values, dimensions, grid }, { classes, size }) {
  const cells = grid * grid;
  const middles = cellMiddles(grid, size);
  const width = classes + 1 + SIDES;
  const found = [];
  const block = BLOCK * cells * dimensions;
  for (let from = 0; from < values.length; from += block) {
    const features = tf.tensor2d(values.subarray(from, from + block), [Math.min(block, values.length - from) / dimensions, dimensions]);
    const rows = await head.predict(features);
    features.dispose();
    for (let image = 0; image * cells * width < rows.length; image++) {
      const each = middles.map(([x, y], cell) => {
        const row = rows.subarray((image * cells + cell) * width, (image * cells + cell + 1) * width);
        const shares = row.subarray(0, classes);
        const label = shares.indexOf(Math.max(...shares));
        const [left, top, right, bottom] = row.subarray(classes + 1).map((distance) => (distance * size) / UNITS);
        return { label, score: shares[label], box: [x - left, y - top, x + right, y + bottom] };
      });
      found.push(suppress(each));
    }
  }
  return found;
}
