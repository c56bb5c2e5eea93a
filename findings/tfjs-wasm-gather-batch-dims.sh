#!/bin/sh
# Subject: @tensorflow/tfjs-backend-wasm 4.22.0 (npm), the newest release, in Node.
#
# tf.gather(x, indices, axis, batchDims) takes from each batch the rows that its own indices name, as tf.gather of Python does. One would
# guess that every backend of TensorFlow.js gives the same.
#
# Seen: with batchDims 1 and two indices or more a batch the WebAssembly backend gives other rows than the backend in JavaScript from the
# second batch on, without an error. Without batchDims both agree.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true }' > package.json
npm install --silent @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0
cat > gather.mjs <<'JS'
const tf = await import('@tensorflow/tfjs-core');
await import('@tensorflow/tfjs-backend-cpu');
await import('@tensorflow/tfjs-backend-wasm');
const gathered = async (backend, batchDims) => {
  await tf.setBackend(backend);
  await tf.ready();
  // Row r of batch n is all n * 10 + r.
  const x = tf.tensor3d([[[0], [1], [2], [3]], [[10], [11], [12], [13]]]);
  const indices = batchDims === 1 ? tf.tensor2d([[3, 0, 1, 1], [2, 2, 0, 3]], [2, 4], 'int32') : tf.tensor1d([3, 0], 'int32');
  return [...tf.gather(x, indices, 1, batchDims).dataSync()].join(' ');
};
const seen = {};
for (const batchDims of [0, 1]) {
  seen[batchDims] = [await gathered('cpu', batchDims), await gathered('wasm', batchDims)];
  console.log(`batchDims ${batchDims}: cpu ${seen[batchDims][0]} | wasm ${seen[batchDims][1]}`);
}
process.exitCode = seen[0][0] === seen[0][1] && seen[1][0] === '3 0 1 1 12 12 10 13' && seen[1][1] !== seen[1][0] ? 0 : 1;
JS
node --no-warnings gather.mjs 2>/dev/null
