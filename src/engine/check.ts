/** Argument checks that all engines share. */
import type { Tensor } from "@tensorflow/tfjs-core";

/** @throws unless the shape ends in three channels and holds as many values as there are bytes. */
export function checkUpload(bytes: Uint8Array, shape: readonly number[]): void {
  const size = shape.reduce((product, length) => product * length, 1);
  if (shape[shape.length - 1] !== 3)
    throw new Error(`upload of shape [${shape}]: expected RGB, three channels last`);
  if (size !== bytes.length)
    throw new Error(`upload of ${bytes.length} bytes as [${shape}]: expected ${size} bytes`);
}

/** @throws unless `others` holds one tensor of the same shape for each of `tensors`. */
export function checkPairs(
  name: string,
  tensors: readonly Tensor[],
  others: readonly Tensor[],
): void {
  if (tensors.length !== others.length)
    throw new Error(`${others.length} ${name} for ${tensors.length} variables: expected one each`);
  tensors.forEach((tensor, i) => {
    const other = others[i];
    if (other?.shape.join() !== tensor.shape.join()) {
      throw new Error(
        `${name}[${i}] of shape [${other?.shape}]: expected [${tensor.shape}], the shape of its variable`,
      );
    }
  });
}

/** @throws unless keys [n, D] fit into queue [K, D] at `pointer`. */
export function checkEnqueue(queue: Tensor, keys: Tensor, pointer: number): void {
  const [rows = 0, width = 0] = queue.shape;
  const [count = 0] = keys.shape;
  if (keys.rank !== 2 || keys.shape[1] !== width)
    throw new Error(
      `keys of shape [${keys.shape}]: expected [n, ${width}] for a queue [${queue.shape}]`,
    );
  if (!Number.isInteger(pointer) || pointer < 0 || pointer + count > rows) {
    throw new Error(
      `queue pointer ${pointer} with ${count} keys: expected an integer from 0 to ${rows - count}, the queue has ${rows} rows`,
    );
  }
}
