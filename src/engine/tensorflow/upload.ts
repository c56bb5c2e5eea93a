/** Bytes of images to float32 on the device. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { IMAGE_MEAN, IMAGE_STD } from '../images.js';
import type { UploadedAs } from '../engine.js';
import type { NodeBackend } from './binding.js';
import { Eager } from './eager.js';

/**
 * (x / 255 - mean) / std, or x. The bytes go to the device as they are, a quarter of what float32 takes.
 *
 * TensorFlow's tensor points at the memory it is given. On the CPU the cast has read it when it returns; a copy to a GPU may still be under
 * way then, so it gets bytes that nobody else writes to.
 */
export function upload(backend: NodeBackend, bytes: Uint8Array, shape: readonly number[], as: UploadedAs): Tensor {
  return Eager.scope(backend, (eager) => {
    const { TF_UINT8, TF_FLOAT } = eager.binding;
    const raw = eager.bytes(eager.binding.isUsingGpuDevice() ? Uint8Array.from(bytes) : bytes, shape);
    const values = eager.run('Cast', [raw], { type: { SrcT: TF_UINT8, DstT: TF_FLOAT } });
    if (as === 'levels') return eager.give(values);
    const factors = eager.floats(IMAGE_STD.map((std) => 1 / (255 * std)));
    const scaled = eager.run('Mul', [values, factors]);
    eager.free(values);
    const shifts = eager.floats(IMAGE_MEAN.map((mean, c) => mean / (IMAGE_STD[c] ?? 1)));
    return eager.give(eager.run('Sub', [scaled, shifts]));
  });
}
