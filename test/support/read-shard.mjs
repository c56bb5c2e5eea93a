/** Prints the SHA-256 of the shard at a location. */
import { createHash } from 'node:crypto';
import { closeSources, openShard } from '#dist/pipeline/source/index.js';

const hash = createHash('sha256');
for await (const chunk of openShard(process.argv[2])) hash.update(chunk);
process.stdout.write(hash.digest('hex'));
await closeSources();
