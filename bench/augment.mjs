/**
 * Micro-benchmark of the augmentation kernels: microseconds an operation on a 224 x 224 image and milliseconds a sample
 * of the DetCo recipe. Needs a build.
 *
 *     node bench/augment.mjs [--width 500] [--height 375] [--samples 200]
 */
import { cpus } from 'node:os';
import { applyStep } from '../dist/pipeline/augment/execute.js';
import { createAugmenter } from '../dist/pipeline/augment/augmenter.js';
import { Kernels } from '../dist/pipeline/augment/kernels.js';
import { drawSample } from '../dist/pipeline/augment/parameters.js';
import { viewBytes } from '../dist/pipeline/augment/recipe.js';
import { recipes } from '../dist/pipeline/augment/recipes.js';
import { Random } from '../dist/common/random.js';
import { readOptions } from './arguments.mjs';

const values = readOptions({
  width: { type: 'string', default: '500' },
  height: { type: 'string', default: '375' },
  samples: { type: 'string', default: '200' },
});
const width = Number(values.width);
const height = Number(values.height);
const samples = Number(values.samples);

/** Smooth structure and noise, like a photograph. */
function picture() {
  const random = new Random(1);
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) {
    const x = Math.floor(i / 3) % width;
    const y = Math.floor(i / 3 / width);
    data[i] = Math.min(255, Math.max(0, 128 + 90 * Math.sin(x / 37 + (i % 3)) * Math.cos(y / 29) + 40 * (random.uniform() - 0.5)));
  }
  return { width, height, data };
}

/** Median time of one call, milliseconds. */
function median(repeats, call) {
  for (let i = 0; i < 5; i++) call(i);
  const times = Array.from({ length: repeats }, (_, i) => {
    const start = performance.now();
    call(i);
    return performance.now() - start;
  });
  return times.toSorted((a, b) => a - b)[repeats >> 1];
}

const SIDE = 224;
const STEPS = [
  { op: 'brightness', factor: 1.2 },
  { op: 'contrast', factor: 1.2 },
  { op: 'saturation', factor: 1.2 },
  { op: 'hue', shift: 0.05 },
  { op: 'grayscale' },
  { op: 'horizontalFlip' },
  { op: 'gaussianBlur', sigma: 0.7 },
  { op: 'gaussianBlur', sigma: 1.9 },
  { op: 'autoContrast' },
  { op: 'equalize' },
  { op: 'invert' },
  { op: 'rotate', degrees: 25 },
  { op: 'posterize', bits: 4 },
  { op: 'solarize', threshold: 200 },
  { op: 'solarizeAdd', add: 100, threshold: 128 },
  { op: 'sharpness', factor: 1.8 },
  { op: 'shearX', shear: 0.3 },
  { op: 'shearY', shear: 0.3 },
  { op: 'translateX', fraction: 0.4 },
  { op: 'translateY', fraction: 0.4 },
];
const JITTER = STEPS.slice(0, 4);

const image = picture();
const kernels = await Kernels.load(255);
const whole = (size) => ({
  window: { left: 0, top: 0, width, height },
  left: 0,
  top: 0,
  scaleX: width / size,
  scaleY: height / size,
  size,
});
const row = (name, ms) => console.log(`${name.padEnd(34)}${(1000 * ms).toFixed(0).padStart(8)} us`);

console.log(`${cpus()[0]?.model}, Node ${process.version}; source ${width} x ${height}, operations on ${SIDE} x ${SIDE}\n`);
row(
  'copy source in',
  median(100, () => kernels.unload(kernels.load(width, height, image.data))),
);
const small = new Uint8Array(SIDE * SIDE * 3);
const source = kernels.load(width, height, image.data);
row(
  'crop whole to 224',
  median(100, () => kernels.crop(source, whole(SIDE), false)),
);
row(
  'crop whole to 255',
  median(100, () => kernels.crop(source, whole(255), false)),
);
kernels.crop(source, whole(SIDE), false);
const copyOut = median(100, () => kernels.read(small));
row('copy view out', copyOut);
for (const step of STEPS) {
  const name = Object.values(step).join(' ');
  row(
    name,
    median(60, () => {
      kernels.setImage(SIDE, SIDE, small);
      applyStep(kernels, step);
      kernels.read(small);
    }) -
      2 * copyOut,
  );
}
row(
  'jitter, four operations fused',
  median(60, () => {
    kernels.setImage(SIDE, SIDE, small);
    for (const step of JITTER) applyStep(kernels, step);
    kernels.read(small);
  }) -
    2 * copyOut,
);

for (const [name, recipe] of Object.entries({
  detco: recipes.detco(),
  'detco-plain': recipes.detco({ randAugment: false }),
  mocoV2: recipes.mocoV2(),
})) {
  const augmenter = await createAugmenter(recipe);
  const out = Object.fromEntries(
    Object.entries(recipe.views).map(([view, options]) => [view, new Uint8Array(new SharedArrayBuffer(viewBytes(options)))]),
  );
  const loaded = augmenter.load(image);
  const render = (index) => loaded.render({ seed: 7, epoch: 0, shard: 0, index }, out);
  for (let i = 0; i < 100; i++) render(i);
  // Processor time does not count what other processes take from this one.
  const start = process.cpuUsage();
  for (let i = 0; i < samples; i++) render(i);
  const { user, system } = process.cpuUsage(start);
  const cpu = (user + system) / 1000 / samples;
  console.log(
    `\n${name}: ${cpu.toFixed(3)} ms of one core a sample (mean of ${samples}); wall clock, median ${median(samples, render).toFixed(3)} ms`,
  );
}
const draw = median(200, (index) => {
  for (const view of Object.values(recipes.detco().views)) drawSample(view, 0, { width, height }, { seed: 7, epoch: 0, shard: 0, index });
});
row('\ndraw the parameters of a sample', draw);
