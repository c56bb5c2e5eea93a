/**
 * The pipeline beside torchvision, on the same shards with the same workers and batches. Needs a build; the peer needs Debian's
 * python3-torch, python3-torchvision and python3-pil.
 *
 *     npm run bench:pipeline -- [--rounds 3] [--seconds 7] [--workers CORES] [--batch 32] [--images 1280] [--json]
 *     npm run bench:pipeline -- --scaling [...]
 *
 * The first compares at one number of workers, beside the bare JPEG decoders too; the second at 1, 2, 4 and so on, and says what workers
 * cost each other. Every measurement has a process of its own and a warm-up outside the timer; the configurations take turns, so that a
 * machine that slows down slows all of them. Raw numbers go to bench/results/.
 */
import { availableParallelism } from 'node:os';
import { compare } from './pipeline/compare.mjs';
import { scale } from './pipeline/scaling.mjs';
import { readOptions, wholeNumber } from './arguments.mjs';
import { benchShards } from './pipeline/shards.mjs';

const values = readOptions({
  scaling: { type: 'boolean', default: false },
  rounds: { type: 'string', default: '3' },
  seconds: { type: 'string', default: '7' },
  workers: { type: 'string', default: String(availableParallelism()) },
  batch: { type: 'string', default: '32' },
  images: { type: 'string', default: '1280' },
  json: { type: 'boolean', default: false },
});
const numbers = ['rounds', 'seconds', 'workers', 'batch', 'images'].map((name) => [name, wholeNumber(name, values[name])]);
const settings = Object.fromEntries(numbers);
const shards = await benchShards(settings.images);
const { report, lines } = await (values.scaling ? scale : compare)(shards, settings);
for (const line of lines) (values.json ? console.error : console.log)(line);
if (values.json) console.log(JSON.stringify(report));
