/** Asks for the shards that argv[2] names and prints how many have a size. */
import { askShards } from '#dist/pipeline/source/ask.js';
import { closeSources, findShards } from '#dist/pipeline/source/index.js';

const found = await askShards(await findShards([process.argv[2]]), { remote: true, rank: 0, worldSize: 1 });
process.stdout.write(`${found.filter(({ bytes }) => bytes > 0).length}\n`);
await closeSources();
