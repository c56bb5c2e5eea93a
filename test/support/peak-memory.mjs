/** Runs a pipeline in a process of its own: options as JSON on the command line; images, bad samples and peak memory as JSON on stdout. */
import { existsSync, readFileSync } from 'node:fs';
import { createPipeline, recipes } from 'detco/pipeline';

const bad = [];
let images = 0;
const recipe = recipes.evaluation({ globalSize: 16 });
const options = JSON.parse(process.argv[2]);
for await (const batch of await createPipeline({ ...options, recipe, onBad: ({ key, reason }) => bad.push(`${key}: ${reason}`) })) {
  images += batch.size;
}
console.log(JSON.stringify({ images, bad, peakMb: peakKb() / 1024 }));

/** Linux counts the memory of the process that this one was started from into its maxRSS, and not into its VmHWM. */
function peakKb() {
  const status = existsSync('/proc/self/status') ? readFileSync('/proc/self/status', 'utf8') : '';
  const [, kilobytes] = /^VmHWM:\s*(\d+) kB$/m.exec(status) ?? [];
  return kilobytes === undefined ? process.resourceUsage().maxRSS : Number(kilobytes);
}
