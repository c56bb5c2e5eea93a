/**
 * Reads shards through a cache folder in a process of its own: `{ urls, dir, limit?, parallel? }` as JSON on the command line;
 * on stdout, as JSON, the SHA-256 of each and the kinds of cache events.
 */
import { createHash } from 'node:crypto';
import { openCacheFolder, openShard } from '../../dist/pipeline/source/index.js';

const { urls, dir, limit, parallel = 1 } = JSON.parse(process.argv[2]);
const cache = await openCacheFolder(dir, limit);
const events = [];
const hashes = {};
const left = [...urls];
const readOn = async () => {
  for (let url = left.shift(); url !== undefined; url = left.shift()) {
    const hash = createHash('sha256');
    for await (const chunk of openShard(url, { cache, onCache: ({ kind }) => events.push(kind) })) hash.update(chunk);
    hashes[url] = hash.digest('hex');
  }
};
await Promise.all(Array.from({ length: parallel }, readOn));
console.log(JSON.stringify({ hashes, events }));
