/**
 * Runs a pipeline in a process of its own, options as JSON on the command line, and prints how it went as JSON: the keys of
 * each batch, the error, and what it left open. A worker is terminated when batch `terminateAt` comes; at `waitAt` its end is waited for.
 */
import { once } from 'node:events';
import workerThreads from 'node:worker_threads';

const workers = [];
const { Worker } = workerThreads;
workerThreads.Worker = class extends Worker {
  constructor(...parameters) {
    super(...parameters);
    workers.push(this);
  }
};

const { createPipeline, recipes } = await import('detco/pipeline');
const { terminateAt, waitAt, ...options } = JSON.parse(process.argv[2]);
const batches = [];
let error;
try {
  for await (const batch of await createPipeline({ ...options, recipe: recipes.detco({ globalSize: 24, patchSize: 8 }) })) {
    batches.push(batch.samples.map(({ key }) => key).join());
    if (batch.step === waitAt) {
      // A worker without a task does not keep the process alive.
      workers[0].ref();
      await once(workers[0], 'exit');
    }
    if (batch.step === terminateAt) await workers[0].terminate();
  }
} catch (caught) {
  error = { message: caught.message, code: caught.code };
}
const open = () => process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort|TCP/.test(name));
// A port that is closed takes some turns of the event loop to be gone.
for (let turn = 0; turn < 100 && open().length > 0; turn++) await new Promise(setImmediate);
console.log(JSON.stringify({ batches, error, left: open() }));
