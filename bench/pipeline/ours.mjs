/** One measurement of the pipeline in a process of its own. Takes its options as JSON in the first argument; prints one JSON line. */
import { createPipeline, recipes } from '../../dist/pipeline/index.js';

const { shards, workers, batch, seconds, warmUpSeconds, randAugment } = JSON.parse(process.argv[2]);

const pipeline = await createPipeline({
  shards,
  recipe: recipes.detco({ randAugment }),
  batchSize: batch,
  workers,
  lanes: Math.max(16, workers),
  epochs: 1_000_000,
});
let firstBatchMs;
let started;
let cpu;
let images = 0;
let last = 0;
for await (const { size } of pipeline) {
  const now = performance.now();
  // Since the process began, Node's own start included.
  firstBatchMs ??= now;
  if (started === undefined) {
    if (now < firstBatchMs + 1000 * warmUpSeconds) continue;
    started = now;
    cpu = process.cpuUsage();
    continue;
  }
  images += size;
  last = now;
  if (now - started >= 1000 * seconds) break;
}
const { user, system } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    imagesPerSecond: (1000 * images) / (last - started),
    cpuMs: (user + system) / 1000 / images,
    systemMs: system / 1000 / images,
    // KiB on every platform.
    peakRssMB: process.resourceUsage().maxRSS / 1024,
    firstBatchMs,
  }),
);
