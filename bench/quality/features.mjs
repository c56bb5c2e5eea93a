/** What a frozen backbone gives for images: the average of each stage's map, and the cells of those maps that localise. */
import * as tf from '@tensorflow/tfjs-core';
import { EvaluationImages, extractFeatures } from '../../dist/eval/index.js';
import { STAGES } from '../../dist/model/index.js';
import { recipes } from '../../dist/pipeline/index.js';
import { inCrop } from './boxes.mjs';

/** Stages whose cells are probed: those that detectors read, large enough to have some. */
export const CELL_STAGES = ['res3', 'res4'];
const BATCH = 50;

/** Images of shards that `detco synth` made, with their class and their boxes in the evaluated crop. */
export function synthImages(shards, size, limit) {
  const { crop } = recipes.evaluation().views.image;
  const label = ({ fields }) => {
    const record = JSON.parse(new TextDecoder().decode(fields.json));
    const boxes = record.boxes.map((box) => ({ label: box.label, box: inCrop(box, record, { size, fraction: crop.fraction }) }));
    return { label: record.label, boxes };
  };
  return new EvaluationImages({ shards, label, globalSize: size, limit, batch: BATCH, fields: ['json'], workers: 1 });
}

/**
 * @returns `pooled`: features by stage with their labels; `cells`: by stage { features [images x cells, channels], dimensions, grid };
 *   `boxes` of each image
 */
export async function readFeatures(engine, backbone, images) {
  const cellsOf = (stage) => `cells of ${stage}`;
  const shapes = {};
  // The rows of cells are the images': one pass gives both.
  const features = (pixels) =>
    tf.tidy(() => {
      const maps = backbone.maps(pixels);
      const cells = CELL_STAGES.map((stage) => {
        const [count, grid, , channels] = (shapes[stage] = maps[stage].shape);
        return [cellsOf(stage), maps[stage].reshape([count, grid * grid * channels])];
      });
      return { ...Object.fromEntries(STAGES.map((stage) => [stage, tf.mean(maps[stage], [1, 2])])), ...Object.fromEntries(cells) };
    });
  const found = await extractFeatures(images, { engine, backbone: { features }, stages: [...STAGES, ...CELL_STAGES.map(cellsOf)] });
  const truth = found[STAGES[0]].labels;
  const labels = truth.map(({ label }) => label);
  return {
    pooled: Object.fromEntries(STAGES.map((stage) => [stage, { ...found[stage], labels }])),
    cells: Object.fromEntries(
      CELL_STAGES.map((stage) => {
        const [, grid, , dimensions] = shapes[stage];
        return [stage, { features: found[cellsOf(stage)].features, dimensions, grid }];
      }),
    ),
    boxes: truth.map(({ boxes }) => boxes),
  };
}

/** The first images of what `readFeatures` gave: a view of it. */
export function first(count, { pooled, cells, boxes }) {
  const images = Math.min(count, boxes.length);
  const rows = (one, each) => ({ ...one, features: one.features.subarray(0, images * each * one.dimensions) });
  return {
    pooled: Object.fromEntries(
      Object.entries(pooled).map(([stage, one]) => [stage, { ...rows(one, 1), labels: one.labels.slice(0, images) }]),
    ),
    cells: Object.fromEntries(Object.entries(cells).map(([stage, one]) => [stage, rows(one, one.grid ** 2)])),
    boxes: boxes.slice(0, images),
  };
}
