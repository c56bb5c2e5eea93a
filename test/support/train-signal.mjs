/** Trains by the library and sends itself SIGTERM at a moment of the run; JSON on stdout tells where it ended. */
import { train } from 'detco/train';

const { at, ...options } = JSON.parse(process.argv[2]);
const stop = new AbortController();
process.once('SIGTERM', () => stop.abort());
let sent = false;
const send = () => {
  if (!sent) process.kill(process.pid, 'SIGTERM');
  sent = true;
};

let polls = 0;
/** Of updates. */
let spentMs = 0;
/** When it would be told how long the run takes. */
const OUTLOOK_MS = 10_000;
const infos = [];
const { step, finished } = await train(options, {
  signal: stop.signal,
  onInfo: (message) => infos.push(message),
  onStep: ({ step: done, stepMs, dataWaitMs }) => {
    spentMs += stepMs + dataWaitMs;
    if (at === 'update' && done === 3) send();
    if (at === 'outlook' && done > 3 && spentMs >= OUTLOOK_MS) send();
  },
  onCheckpoint: () => at === 'checkpoint' && send(),
  poll: () => {
    polls++;
    if (at === 'evaluation' && polls === 2) send();
    return false;
  },
});
console.log(JSON.stringify({ step, finished, polls, infos }));
