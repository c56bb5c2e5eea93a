/** Runs a pipeline in a process of its own: options as JSON on the command line; images, bad samples and peak memory as JSON on stdout. */
import { createPipeline, recipes } from 'detco/pipeline';

const bad = [];
let images = 0;
const recipe = recipes.evaluation({ globalSize: 16 });
const options = JSON.parse(process.argv[2]);
for await (const batch of await createPipeline({ ...options, recipe, onBad: ({ key, reason }) => bad.push(`${key}: ${reason}`) })) {
  images += batch.size;
}
// Kilobytes, on every system.
console.log(JSON.stringify({ images, bad, peakMb: process.resourceUsage().maxRSS / 1024 }));
