/**
 * The pickle that Detectron2's checkpointer reads: NumPy's arrays under `model`, with `__author__`, without which it takes the file for one
 * of Caffe2's, and `matching_heuristics`, without which short names such as `res2.0.conv1.weight` match nothing, in silence.
 */
import { Global, pickle, type PickleValue } from './pickle-writer.js';
import type { TorchTensor } from './torch-writer.js';

// NumPy 2 has kept these names for the pickles of NumPy 1.
const RECONSTRUCT = new Global('numpy.core.multiarray', '_reconstruct');
const NDARRAY = new Global('numpy', 'ndarray');
const DTYPE = new Global('numpy', 'dtype');
const DTYPES = { float32: 'f4', int64: 'i8' } as const;

function array({ shape, type, values }: TorchTensor): PickleValue {
  const { buffer, byteOffset, byteLength } = values();
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  const dtype = { callee: DTYPE, args: [DTYPES[type], false, true], state: [3, '<', null, null, null, -1, -1, 0] };
  return { callee: RECONSTRUCT, args: [NDARRAY, [0], Buffer.from('b')], state: [1, [...shape], dtype, false, bytes] };
}

/** @param tensors by Detectron2's names. @returns the chunks of the file */
export function detectron2Pickle(tensors: ReadonlyMap<string, TorchTensor>): Generator<Uint8Array> {
  const model = new Map([...tensors].map(([name, tensor]) => [name, array(tensor)]));
  return pickle(
    new Map<string, PickleValue>([
      ['model', model],
      ['__author__', 'detco'],
      ['matching_heuristics', true],
    ]),
    3,
  );
}
