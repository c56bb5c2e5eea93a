#!/bin/sh
# Subject: @tensorflow/tfjs-core and @tensorflow/tfjs-backend-cpu 4.22.0 (npm), the newest release, in Node.
#
# tfjs-core exports tf.grad, and its folder has dist/register_all_gradients.js. One would guess that the gradients of its operations come
# with the import of tfjs-core, as tf.grad does, or with the import of that file.
#
# Seen: no operation has a gradient, for the build that Node loads leaves them out. The file cannot be imported in Node: it is an ES
# module in a CommonJS package, and what it imports has no extensions. Only the union package @tensorflow/tfjs (140 MB by
# itself, 290 MB with what it depends on) has them built for Node; a bundler can take them out of tfjs-core.
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir"
echo '{ "private": true }' > package.json
npm install --silent @tensorflow/tfjs-core@4.22.0 @tensorflow/tfjs-backend-cpu@4.22.0
cat > grad.mjs <<'JS'
const why = ({ message }) => message.split('\n')[0];
const tf = await import('@tensorflow/tfjs-core');
await import('@tensorflow/tfjs-backend-cpu');
await tf.setBackend('cpu');
const grad = () => tf.grad((x) => tf.square(x))(tf.scalar(3)).dataSync()[0];
const value = (() => { try { return grad(); } catch (error) { return why(error); } })();
const imported = await import('@tensorflow/tfjs-core/dist/register_all_gradients.js').then(() => 'imported', why);
console.log(`gradient of x * x at 3: ${value}`);
console.log(`register_all_gradients.js: ${imported}`);
process.exitCode = String(value).includes('gradient function not found') && imported !== 'imported' ? 0 : 1;
JS
node --no-warnings grad.mjs
