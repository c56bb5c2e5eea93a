/** The addon as one engine sees it: it knows its tensors, so that it can free them all. */
import type { Binding } from './binding.js';

export class TrackedBinding {
  /** For the backend and the kernels. */
  readonly binding: Binding;
  readonly #addon: Binding;
  readonly #live = new Set<number>();

  constructor(addon: Binding) {
    this.#addon = addon;
    const live = this.#live;
    const tracking: Pick<Binding, 'createTensor' | 'executeOp' | 'deleteTensor'> = {
      createTensor(shape, dtype, values) {
        const id = addon.createTensor(shape, dtype, values);
        live.add(id);
        return id;
      },
      executeOp(name, attributes, inputs, count) {
        const outputs = addon.executeOp(name, attributes, inputs, count);
        for (const { id } of outputs) live.add(id);
        return outputs;
      },
      // After `clear` the tensors that TensorFlow.js still holds are gone already.
      deleteTensor(id) {
        if (live.delete(id)) addon.deleteTensor(id);
      },
    };
    // The addon's properties cannot be assigned, on what inherits them neither.
    this.binding = Object.create(addon, Object.getOwnPropertyDescriptors(tracking)) as Binding;
  }

  /** Frees every tensor. */
  clear(): void {
    for (const id of this.#live) this.#addon.deleteTensor(id);
    this.#live.clear();
  }
}
