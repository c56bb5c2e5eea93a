#!/bin/sh
# Subject: TensorFlow.js's WebAssembly backend (@tensorflow/tfjs-core and @tensorflow/tfjs-backend-wasm 4.22.0), tf.oneHot with a dtype.
#
# tf.oneHot(indices, depth, onValue, offValue, dtype) makes targets of a loss, which are wanted as float32. One would guess that
# tf.oneHot([1, 0], 3, 1, 0, 'float32') holds 1 and 0, as on tfjs-core's CPU backend.
#
# Seen: the tensor says that it is float32 and its memory holds the whole numbers 1 and 0: read as float32 these are 1.4e-45 and 0. A
# softmax cross-entropy on it is 0 to seven digits at any weights, and nothing is learned; no error is raised. With the default,
# int32, and a tf.cast after it, all is well.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true }' > package.json
npm install --silent @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-wasm@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0
cat > hot.cjs <<'JS'
const tf = require('@tensorflow/tfjs-core');
require('@tensorflow/tfjs-backend-wasm');
require('@tensorflow/tfjs-backend-cpu');
(async () => {
  const seen = {};
  for (const name of ['cpu', 'wasm']) {
    await tf.setBackend(name);
    await tf.ready();
    const hot = tf.oneHot(tf.tensor1d([1, 0], 'int32'), 3, 1, 0, 'float32');
    const cast = tf.cast(tf.oneHot(tf.tensor1d([1, 0], 'int32'), 3), 'float32');
    seen[name] = [...(await hot.data())].join(' ');
    console.log(`${name}: ${hot.dtype} ${seen[name]}; by a cast ${[...(await cast.data())].join(' ')}`);
  }
  process.exitCode = seen.cpu === '0 1 0 1 0 0' && seen.wasm !== seen.cpu ? 0 : 1;
})();
JS
node hot.cjs
