/**
 * How many images a second sharp decodes when it has nothing else to do: compressed bytes in memory, all of RGB out, as many
 * at a time as libuv has threads and a few waiting. Options as JSON in the first argument; prints one JSON line.
 */
import sharp from 'sharp';
import { loadImages } from './load.mjs';

const { shards, seconds, warmUpSeconds, inFlight } = JSON.parse(process.argv[2]);
sharp.concurrency(1);
sharp.cache(false);
const images = await loadImages(shards, 400);

/** Decodes round and round for `duration` seconds; resolves to the number of images. */
async function decodeFor(duration) {
  const end = performance.now() + 1000 * duration;
  let done = 0;
  let next = 0;
  const stream = async () => {
    while (performance.now() < end) {
      await sharp(images[next++ % images.length], { failOn: 'truncated', ignoreIcc: true })
        .raw()
        .toBuffer();
      done++;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, stream));
  return done;
}

await decodeFor(warmUpSeconds);
const cpu = process.cpuUsage();
const started = performance.now();
const done = await decodeFor(seconds);
const elapsed = performance.now() - started;
const { user, system } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    imagesPerSecond: (1000 * done) / elapsed,
    cpuMs: (user + system) / 1000 / done,
    systemMs: system / 1000 / done,
    peakRssMB: process.resourceUsage().maxRSS / 1024,
  }),
);
