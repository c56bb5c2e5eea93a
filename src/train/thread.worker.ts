/** The thread that `startTraining` starts. */
import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import { StopAgreed } from './agreement.js';
import { readConfigFile } from './config.js';
import type { TrainHooks } from './hooks.js';
import { RequestWords } from './request-words.js';
import type { Ending, HookCall, TrainTask } from './thread.js';
import { refuseTogether, train } from './train.js';

const port = parentPort as MessagePort;
const { task, requests: memory } = workerData as { readonly task: TrainTask; readonly requests: SharedArrayBuffer };

const names = { onRun: 0, onStep: 0, onEvaluation: 0, onCheckpoint: 0, onWork: 0, onInfo: 0, onWarning: 0 } satisfies Record<
  keyof TrainHooks,
  0
>;
const hooks = Object.fromEntries(
  Object.keys(names).map((hook) => [hook, (...given: unknown[]): void => port.postMessage({ hook, given } as HookCall)]),
) as TrainHooks;

const requests = new RequestWords(memory);
const stop = new AbortController();
const look = (): boolean => {
  if (requests.stopped) stop.abort();
  return requests.takeSave();
};

async function run({ options, configFile, profile, views, place }: TrainTask): Promise<Ending> {
  try {
    const reading = configFile === undefined ? undefined : readConfigFile(configFile);
    if (place) await reading?.catch((error: unknown) => refuseTogether(error, place, stop.signal));
    const content = await reading;
    const file = configFile === undefined || content === undefined ? {} : { file: content, filePath: configFile };
    return {
      result: await train({ ...options, ...file }, { ...hooks, profile, views, signal: stop.signal, poll: look, ...(place && { place }) }),
    };
  } catch (error) {
    if (error instanceof StopAgreed || (stop.signal.aborted && error === stop.signal.reason)) return { result: undefined };
    if (!(error instanceof Error)) return { error: { name: 'Error', message: String(error) } };
    const { name, message, stack } = error;
    return { error: { name, message, ...(stack !== undefined && { stack }) } };
  }
}

// Waiting for data it is heard by message.
port.on('message', () => stop.abort());
port.postMessage(await run(task));
port.close();
