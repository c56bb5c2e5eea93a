/** The worker threads of one pipeline: starts each with its task, and hears what it reports and how it ends. */
import { once } from 'node:events';
import { MessageChannel } from 'node:worker_threads';
import { Piscina } from 'piscina';
import { workerError } from './failure.js';
import { heapLimits, startRoomy } from './heap.js';
import type { ServeTask, WorkerReport } from './main.js';

export interface PoolOptions {
  readonly workers: number;
  /** Megabytes of heap of each; what V8 allows without it. */
  readonly workerMemoryMb: number | undefined;
  readonly onReport: (report: WorkerReport) => void;
  /** A worker has failed, in its task or out of it; may be called more than once. */
  readonly onFailure: (error: unknown) => void;
}

export interface WorkerPool {
  readonly pool: Piscina;
  /** Resolves when every task has ended, well or not, and its last report has come. */
  readonly served: Promise<unknown>;
}

/** @param task what is the same for all workers; the lanes are dealt to them in turn */
export function startWorkers(
  task: Omit<ServeTask, 'serves' | 'worker' | 'port'>,
  { workers, workerMemoryMb, onReport, onFailure }: PoolOptions,
): WorkerPool {
  const pool = startRoomy(
    () =>
      new Piscina({
        filename: new URL('./main.js', import.meta.url).href,
        minThreads: workers,
        maxThreads: workers,
        // Workers wait for sockets and decoders between samples; a blocking wait for tasks would freeze them.
        atomics: 'disabled',
        resourceLimits: heapLimits(workerMemoryMb),
      }),
  );
  const heapMb = pool.threads[0]?.resourceLimits?.maxOldGenerationSizeMb;
  // Of a worker without a task: one that fails after its last sample, or replaces one that died.
  pool.on('error', onFailure);
  const { rankLanes } = task;
  const tasks = Array.from({ length: workers }, (_, worker) => {
    const { port1, port2 } = new MessageChannel();
    port1.on('message', onReport);
    const serves = rankLanes.map((_lane, place) => place).filter((place) => place % workers === worker);
    const own: ServeTask = { ...task, serves, worker, port: port2 };
    const name = `Worker ${worker + 1} of ${workers}`;
    const served = pool
      .run(own, { transferList: [port2] })
      .catch((error: unknown) => onFailure(workerError(error, { name, lanes: serves.map((place) => rankLanes[place] ?? place), heapMb })));
    // The port closes after its last message has come.
    return Promise.all([served, once(port1, 'close')]);
  });
  return { pool, served: Promise.all(tasks) };
}
