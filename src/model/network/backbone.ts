/**
 * The backbone of a network as evaluations see it: the maps and features of images.
 *
 *   eval     the running statistics, each image for itself; gradients reach the parameters
 *   train    by the layers of `differentiate` or `encode`: the statistics of the batch, which move the running ones
 *   frozen   eval within `constantOf`, where a loss is differentiated that is not to reach the parameters
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Engine } from '../../engine/engine.js';
import { type ResNet, resNet, type ResNetOptions, type Stage } from './architecture.js';
import { type Layers, Network } from './network.js';
import { globalAverage, stages } from './resnet.js';

/** A ResNet without head: features of each stage, in train, eval or frozen mode. */
export class Backbone {
  /** Channels of each stage. */
  readonly channels: Readonly<Record<Stage, number>>;
  readonly #network: Network;
  readonly #net: ResNet;

  /** @param network has the variables of `net`, perhaps among others */
  constructor(network: Network, net: ResNet) {
    this.channels = net.channels;
    this.#network = network;
    this.#net = net;
  }

  /**
   * Normalised images [N, H, W, 3] to the map [N, h, w, C] of each stage.
   *
   * @param layers of the network; by default in eval mode
   */
  maps(images: Tensor4D, layers: Layers = this.#network.eval()): Record<Stage, Tensor4D> {
    return tf.tidy(() => stages(this.#net, layers, images, (map) => tf.clone(map)));
  }

  /** The global averages of the maps, [N, C]. */
  features(images: Tensor4D, layers: Layers = this.#network.eval()): Record<Stage, Tensor2D> {
    return tf.tidy(() => stages(this.#net, layers, images, globalAverage));
  }
}

/** A backbone of its own, of no method: for weights that are evaluated. It starts at random. */
export function createBackbone(
  engine: Engine,
  architecture: ResNetOptions,
  seed: number,
): { readonly backbone: Backbone; readonly tensors: ReadonlyMap<string, tf.Variable> } & Disposable {
  const net = resNet(architecture);
  const network = new Network(engine, [net], { bnGroups: 1, seed });
  return { backbone: new Backbone(network, net), tensors: network.tensors, [Symbol.dispose]: () => network.dispose() };
}
