/** One measurement of the pipeline in a process of its own. Takes its options as JSON in the first argument; prints one JSON line. */
import { readdirSync, readFileSync } from 'node:fs';
import { createPipeline, recipes } from '../../dist/pipeline/index.js';

/** `startAt`, milliseconds since 1970: processes that are measured together begin and end together; else the warm-up decides. */
const { shards, workers, batch, seconds, warmUpSeconds, randAugment, startAt } = JSON.parse(process.argv[2]);

const pipeline = await createPipeline({
  shards,
  recipe: recipes.detco({ randAugment }),
  batchSize: batch,
  workers,
  lanes: Math.max(16, workers),
  epochs: 1_000_000,
});
const wait = startAt === undefined ? undefined : startAt - Date.now();
let beginsAt = wait === undefined ? undefined : performance.now() + wait;
let firstBatchMs;
let started;
let before;
let after;
let images = 0;
let last = 0;
for await (const { size } of pipeline) {
  const now = performance.now();
  // Since the process began, Node's own start included.
  firstBatchMs ??= now;
  beginsAt ??= now + 1000 * warmUpSeconds;
  if (started === undefined) {
    if (now < beginsAt) continue;
    started = now;
    before = used();
    continue;
  }
  images += size;
  last = now;
  if (now - started < 1000 * seconds) continue;
  // Before the workers end, and their counts with them.
  after = used();
  break;
}
const user = after.cpu.user - before.cpu.user;
const system = after.cpu.system - before.cpu.system;
console.log(
  JSON.stringify({
    images,
    imagesPerSecond: (1000 * images) / (last - started),
    cpuMs: (user + system) / 1000 / images,
    systemMs: system / 1000 / images,
    ...(after.switches !== undefined && { switchesPerImage: (after.switches - before.switches) / images }),
    // KiB on every platform.
    peakRssMB: process.resourceUsage().maxRSS / 1024,
    firstBatchMs,
    // Milliseconds since 1970.
    window: [performance.timeOrigin + started, performance.timeOrigin + last],
  }),
);

function used() {
  return { cpu: process.cpuUsage(), switches: contextSwitches() };
}

/** Of all threads that live, for whatever reason they left a core; undefined where there is no /proc. */
function contextSwitches() {
  try {
    const counts = readdirSync('/proc/self/task').flatMap((thread) =>
      [...readFileSync(`/proc/self/task/${thread}/status`, 'utf8').matchAll(/ctxt_switches:\s+(\d+)/g)].map(([, count]) => Number(count)),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  } catch {
    return undefined;
  }
}
