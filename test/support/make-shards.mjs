/** Runs `makeShards` in a process of its own, to be killed: options as JSON on the command line. */
import { makeShards } from '#dist/pipeline/shard/make/index.js';

await makeShards(JSON.parse(process.argv[2]));
