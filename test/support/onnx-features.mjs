/** What ONNX Runtime makes of images by the model in a file, as JSON: `onnx-features.mjs FILE IMAGES SIDE`; images are float32 [N, side, side, 3]. */
import { readFile } from 'node:fs/promises';
import { InferenceSession, Tensor } from 'onnxruntime-web';

const [file, images, side] = process.argv.slice(2);
const pixels = new Float32Array(new Uint8Array(await readFile(images)).buffer);
const area = side * side;
const count = pixels.length / (3 * area);
const planes = pixels.map((_, i) => pixels[3 * (Math.floor(i / (3 * area)) * area + (i % area)) + (Math.floor(i / area) % 3)]);
const session = await InferenceSession.create(await readFile(file));
const { features } = await session.run({ images: new Tensor('float32', planes, [count, 3, +side, +side]) });
console.log(JSON.stringify({ inputs: session.inputNames, outputs: session.outputNames, dims: features.dims, values: [...features.data] }));
