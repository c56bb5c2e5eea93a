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
const { step, finished } = await train(options, {
  signal: stop.signal,
  onStep: (metrics) => at === 'update' && metrics.step === 3 && send(),
  onCheckpoint: () => at === 'checkpoint' && send(),
  poll: () => {
    polls++;
    if (at === 'evaluation' && polls === 2) send();
    return false;
  },
});
console.log(JSON.stringify({ step, finished, polls }));
