/**
 * Features of images by the backbone in a file, as JSON by stage: `backbone-features.mjs FILE IMAGES SIDE ENGINE`. A process of its own: Jest's
 * module sandbox slows loops over 10^7 weights beyond use.
 */
import { readFile } from 'node:fs/promises';
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '../../dist/engine/index.js';
import { loadBackbone } from '../../dist/interop/index.js';
import { assign, createBackbone } from '../../dist/model/index.js';

const [file, images, side, name] = process.argv.slice(2);
const { architecture, tensors } = await loadBackbone(file);
const engine = await selectEngine(name);
const { backbone, tensors: variables } = createBackbone(engine, architecture, 0);
assign(variables, tensors);
const pixels = new Float32Array(new Uint8Array(await readFile(images)).buffer);
const features = backbone.features(tf.tensor4d(pixels, [pixels.length / (3 * side * side), +side, +side, 3]));
const read = Object.entries(features).map(([stage, tensor]) => [stage, [...tensor.dataSync()]]);
console.log(JSON.stringify({ architecture, features: Object.fromEntries(read) }));
await engine.dispose();
