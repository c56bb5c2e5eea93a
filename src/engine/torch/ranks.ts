/** Ranks over c10d: Gloo between CPUs, NCCL between GPUs. */
import { engine, type Tensor, type Tensor1D, type TensorInfo, type Variable } from '@tensorflow/tfjs-core';
import { checkUpload } from '../check.js';
import type { Ranks } from '../ranks.js';
import { ScalarType } from './addon.js';
import type { TorchBackend } from './backend.js';
import type { Ref } from './torch.js';

/** @param normalise bytes -> float32 as `Engine.upload` makes them */
export function joinedRanks(
  backend: TorchBackend,
  place: { readonly rank: number; readonly size: number },
  normalise: (bytes: Ref) => Ref,
): Ranks {
  const { torch } = backend;
  // Who writes to it waits for who did before: collectives keep the order in which they were called, in a record too.
  const turn = torch.adopt(torch.upload(Int32Array.of(0), ScalarType.int32, [1]));
  const made = (ref: Ref, dtype: TensorInfo['dtype']): Tensor => engine().makeTensorFromTensorInfo(backend.output(ref, dtype));
  const scope = <T>(body: () => T): T => torch.scope(body, () => []);

  return {
    ...place,

    upload(bytes, shape) {
      checkUpload(bytes, shape);
      return scope(() => made(torch.upload(bytes, ScalarType.uint8, shape), 'int32'));
    },

    exchange(images: Tensor, rows: Tensor1D) {
      return scope(() => {
        const all = torch.run('detco::all_gather', turn, backend.held(images));
        const own = torch.run('aten::index_select', all, 0, backend.held(rows));
        return made(own.type === ScalarType.uint8 ? normalise(own) : own, 'float32');
      });
    },

    gather<T extends Tensor>(x: T) {
      return scope(() => made(torch.run('detco::all_gather', turn, backend.tensor(x)), x.dtype)) as T;
    },

    mean<T extends Tensor>(xs: readonly T[]) {
      return scope(() => {
        const means = torch.runAll(
          'detco::all_mean',
          turn,
          xs.map((x) => backend.held(x)),
        );
        return means.map((mean) => made(mean as Ref, 'float32') as T);
      });
    },

    broadcast(variables: readonly Variable[]) {
      scope(() =>
        torch.runAll(
          'detco::broadcast_',
          turn,
          variables.map((variable) => backend.own(variable)),
          0,
        ),
      );
    },
  };
}
