/**
 * Does the pipeline's memory stay where it is? Streams images, epoch after epoch, and watches the process's resident set.
 * Needs a build.
 *
 *     node bench/soak.mjs [--images 50000] [--batch 64] [--workers CORES] [--json]
 *
 * Exits with 1 when the last fifth of the run is more than 5 % above the second (the first is the warm-up), or the peak
 * reaches 1 GB.
 */
import { availableParallelism, cpus } from 'node:os';
import { createPipeline, recipes } from '../dist/pipeline/index.js';
import { readOptions, wholeNumber } from './arguments.mjs';
import { benchShards } from './pipeline/shards.mjs';

const SAMPLE_MS = 250;
const MAX_GROWTH = 1.05;
const MAX_PEAK_MB = 1000;

const values = readOptions({
  images: { type: 'string', default: '50000' },
  batch: { type: 'string', default: '64' },
  workers: { type: 'string', default: String(Math.min(16, availableParallelism())) },
  json: { type: 'boolean', default: false },
});
const images = wholeNumber('images', values.images);
const batchSize = wholeNumber('batch', values.batch);
const workers = wholeNumber('workers', values.workers);

const shards = await benchShards(1280);
const pipeline = await createPipeline({ shards, recipe: recipes.detco(), batchSize, workers, epochs: 1_000_000 });

let seen = 0;
const samples = [];
const rssMB = () => process.memoryUsage.rss() / 2 ** 20;
const timer = setInterval(() => samples.push({ seen, mb: rssMB() }), SAMPLE_MS);
const started = performance.now();
for await (const { size, epoch } of pipeline) {
  const before = Math.floor((20 * seen) / images);
  seen += size;
  const after = Math.floor((20 * seen) / images);
  if (after > before) process.stderr.write(`${seen} images, epoch ${epoch}: ${rssMB().toFixed(0)} MB\n`);
  if (seen >= images) break;
}
clearInterval(timer);
const seconds = (performance.now() - started) / 1000;

const fifths = Array.from({ length: 5 }, (_, i) => {
  const mine = samples.filter((sample) => Math.min(4, Math.floor((5 * sample.seen) / images)) === i).map(({ mb }) => mb);
  return mine.reduce((sum, mb) => sum + mb, 0) / mine.length;
});
const report = {
  images: seen,
  rssMBByFifth: fifths.map((mb) => Math.round(mb)),
  lastFifthOverSecond: fifths[4] / fifths[1],
  // KiB on every platform.
  peakMB: process.resourceUsage().maxRSS / 1024,
  imagesPerSecond: seen / seconds,
  settings: { batchSize, workers, cpu: cpus()[0]?.model, node: process.version },
};
const steady = report.lastFifthOverSecond <= MAX_GROWTH && report.peakMB < MAX_PEAK_MB;
const out = values.json ? (text) => process.stderr.write(`${text}\n`) : console.log;
out(`${seen} images at ${report.imagesPerSecond.toFixed(0)} a second, batches of ${batchSize}, ${workers} workers`);
out(`resident memory by fifths of the run: ${report.rssMBByFifth.join(', ')} MB; peak ${report.peakMB.toFixed(0)} MB`);
out(
  `last fifth over second: ${report.lastFifthOverSecond.toFixed(3)} (at most ${MAX_GROWTH}, peak under ${MAX_PEAK_MB} MB): ${steady ? 'steady' : 'NOT STEADY'}`,
);
if (values.json) console.log(JSON.stringify({ ...report, steady }));
process.exitCode = steady ? 0 : 1;
