/** What one rank makes of collectives, eager and recorded: `node collectives.mjs '{"rank": 0, "size": 3, "port": 29500}'`. */
import * as tf from '@tensorflow/tfjs-core';
import { selectEngine } from '../../dist/engine/index.js';
import { openCompany } from '../../dist/engine/torch/company.js';
import { loadNative } from '../../dist/engine/torch/native.js';

const { rank, size, port } = JSON.parse(process.argv[2] ?? '');
const company = await openCompany({ rank, size, localRank: rank, host: '127.0.0.1', port, attempt: '0' });
const engine = await selectEngine('torch', { device: 'cpu', threads: 2, company });
const { ranks } = engine;
const numbers = (tensor) => [...tensor.dataSync()];

const [vector, scalar, filter] = ranks.mean([tf.tensor1d([rank, 2 * rank]), tf.scalar(10 * rank), tf.add(tf.zeros([3, 3, 2, 2]), rank)]);
const gathered = ranks.gather(tf.tensor2d([[rank, -rank]]));
const levels = Uint8Array.from({ length: 2 * 3 }, (_, i) => 10 * (2 * rank + Math.floor(i / 3)));
const rows = tf.tensor1d([2 * size - 1 - rank, rank], 'int32');
const bytes = ranks.upload(levels, [2, 1, 1, 3]);
const exchanged = ranks.exchange(bytes, rows);
const whole = engine.upload(
  Uint8Array.from({ length: 2 * size * 3 }, (_, i) => 10 * Math.floor(i / 3)),
  [2 * size, 1, 1, 3],
);
const variable = tf.variable(tf.tensor1d([rank, rank + 1]));
ranks.broadcast([variable]);

// Many at once, between work that may run beside them in a record.
const before = loadNative().rankTraffic();
const step = engine.compile(({ x }) =>
  tf.tidy(() => {
    let total = tf.zerosLike(x);
    for (let i = 1; i <= 6; i++) {
      const product = tf.matMul(x, x);
      const [mean] = ranks.mean([tf.mul(x, i)]);
      total = tf.add(total, tf.add(mean, tf.sum(ranks.gather(tf.mul(product, i)), 0, true)));
    }
    return { total };
  }),
);
const recorded = [];
for (let call = 0; call < 5; call++) recorded.push(numbers(step({ x: tf.tensor2d([[rank + call]]) }).total)[0]);
const after = loadNative().rankTraffic();

process.stdout.write(
  JSON.stringify({
    means: [numbers(vector), numbers(scalar), numbers(filter).every((x) => x === numbers(filter)[0])],
    gathered: numbers(gathered),
    exchanged: numbers(exchanged),
    expected: numbers(tf.gather(whole, rows)),
    variable: numbers(variable),
    recorded,
    traffic: { calls: after.calls - before.calls, bytes: after.bytes - before.bytes },
  }),
);
await engine.dispose();
await company[Symbol.asyncDispose]();
