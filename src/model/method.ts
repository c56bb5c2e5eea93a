/**
 * The seam between the trainer and a method: all that the trainer, checkpoints, evaluation and the golden files know of one.
 *
 * A method is one file of `methods/` and a line of its registry. What a step does on the device is made of `step`, the optimiser's update of
 * `parameters`, and `settle`, which an engine records and replays as one: these read nothing but `views`, `inputs` and variables. What
 * differs from step to step therefore goes through `inputs`, and what changes on the host is moved by `advance`, outside.
 */
import type { Scalar, Tensor, Tensor2D, Variable } from '@tensorflow/tfjs-core';
import type { z } from 'zod';
import type { Engine, NamedTensors } from '../engine/engine.js';
import type { Stage } from './network/architecture.js';
import type { Backbone } from './network/backbone.js';

/**
 * The views of a step by the recipe's names: normalised float32, [N, H, W, 3], [N, 9, h, w, 3] for a jigsaw, [N, crops, H, W, 3] for a
 * multicrop, or [N, 4, H, W, 3] for rotations. A view that the method has among its `levels` is float32 of 0 to 255.
 */
export type StepViews = Readonly<Record<string, Tensor>>;

/**
 * What a view shows: a whole image, the nine patches of one, several crops, a crop that lies in a box to be pasted, one picture in its four
 * quarter turns, or a whole image in CIELAB or with masks drawn on it.
 */
export type ViewKind = 'image' | 'jigsaw' | 'multicrop' | 'placed' | 'rotations' | 'lab' | 'masked';

/** How one picture of a view was made, as the pipeline drew it: its `DrawnPicture` has more. */
export interface DrawnView {
  /** Size of the whole image, pixels. */
  readonly image: { readonly width: number; readonly height: number };
  /** What was resized to the picture, pixels of the image. */
  readonly box: { readonly left: number; readonly top: number; readonly width: number; readonly height: number };
  /** Whether the picture is mirrored, left to right. */
  readonly flipped: boolean;
  /** Of a jigsaw: patch i was cut from cell `order[i]` of the 3x3, row by row. */
  readonly jigsaw?: { readonly order: readonly number[] };
  /** Of a placed view: where the crop lies in the picture of `canvas` x `canvas` pixels, as it is given. */
  readonly placed?: {
    readonly canvas: number;
    readonly left: number;
    readonly top: number;
    readonly width: number;
    readonly height: number;
  };
  /** What is to be hidden, pixels of the picture. */
  readonly masks?: readonly { readonly left: number; readonly top: number; readonly width: number; readonly height: number }[];
}

/** What is known of the images of a step besides their pixels: of this rank's, in the order of the rows of its views. */
export interface StepSamples {
  /** The number of each image among all of the data, from 0; where the method's kind has `forImages`. */
  readonly ordinals?: Int32Array;
  /** A picture an image; of a multicrop view a picture a crop, image by image. Worked out when it is first read. */
  readonly plans: Readonly<Record<string, readonly DrawnView[]>>;
}

/** Where a run stands before a step. */
export interface StepAt {
  /** Steps done. */
  readonly step: number;
  /** Epochs done, as a share of the run's: what schedules follow. */
  readonly progress: number;
  /** Epochs before that of the step's images. Default: 0. */
  readonly epoch?: number;
  /** Images of the step, of all ranks. */
  readonly batch: number;
  /**
   * The number that each image has in that batch, those of rank 0 first: what is drawn for a step is drawn by these. Default: 0, 1, ...
   */
  readonly rows?: Int32Array;
  /** Of the images of the step; the trainer always gives it. */
  readonly samples?: StepSamples;
}

/** What a step gives. The tensors are the caller's: `tf.dispose(result)` frees them all. */
export type StepResult = {
  readonly loss: Scalar;
  /** The parts of the loss, unweighted, by `terms` of the method. */
  readonly terms: Record<string, Scalar>;
  /** Of the loss, by parameter. */
  readonly gradients: Record<string, Tensor>;
  /**
   * Mean over dimensions of the standard deviation over the batch of unit-norm embeddings: about 1/sqrt(`dimensions`) for a healthy network,
   * 0 when it collapses.
   */
  readonly featureStd: Scalar;
  /**
   * The queries' features of `featureStage` before any head, [N, C]: of the whole images, of the first where a step differentiates two, or
   * the mean over the patches where it differentiates no whole image. No gradient flows through them.
   */
  readonly features: Tensor2D;
  /** What `settle` is to have. */
  readonly carry: Record<string, Tensor>;
};

/** Parameters that an optimiser treats alike. */
export interface ParameterGroup {
  /** By name, which no other group has. */
  readonly variables: ReadonlyMap<string, Variable>;
  /** Whether weight decay is for them. */
  readonly decay: boolean;
  /** Whether an optimiser that gives each parameter a rate of its own (LARS) does so for these. */
  readonly adapted: boolean;
}

export interface Method {
  /** What the optimiser moves. */
  readonly parameters: readonly ParameterGroup[];
  /** The views that a step takes. */
  readonly views: readonly string[];
  /** Those of them that ranks exchange, by `Ranks.exchange`. */
  readonly exchanged: readonly string[];
  /** Views that a step takes as levels 0..255, not normalised; default: none. */
  readonly levels?: readonly string[];
  /** What `terms` of a step are called, in their order. */
  readonly terms: readonly string[];
  /** Of the embeddings whose spread is `featureStd`. */
  readonly dimensions: number;
  /** The deepest stage that the loss reaches. */
  readonly featureStage: Stage;
  /** What is evaluated, and exported. */
  readonly backbone: Backbone;

  /** What a step reads besides views and variables, made on the host: permutations, schedules, pointers. The tensors are the caller's. */
  inputs(at: StepAt): NamedTensors;

  /**
   * A step up to the gradients.
   * @throws RangeError or TypeError for views that the method cannot take
   */
  step(views: StepViews, inputs: NamedTensors): StepResult;

  /** What follows the optimiser's update. Tensors are not disposed. */
  settle(carry: NamedTensors, inputs: NamedTensors): void;

  /** Moves the host's state past a step of so many images, of all ranks. */
  advance(images: number): void;

  /** All tensors that a checkpoint holds, in files of these names. */
  readonly sections: Readonly<Record<string, ReadonlyMap<string, Variable>>>;

  /**
   * The sections that hold the backbone: the one that learns, and the one that slowly follows it. A checkpoint keeps their names, by which
   * files of weights are read without the method.
   */
  readonly encoders: Encoders;

  /** Host state: what a checkpoint holds besides. Setting it throws a RangeError for what cannot be. */
  host: HostState;

  /** Frees all variables. */
  dispose(): void;
}

/** Names of sections. */
export interface Encoders {
  readonly query: string;
  readonly key?: string;
}

export type HostState = Readonly<Record<string, number>>;

/** Of a recipe or an optimizer: its own options, which their schemas check. */
export interface NamedOptions {
  readonly name: string;
  readonly [option: string]: string | number | boolean;
}

/** What a run does besides its method: the trainer's options, as far as a preset has them. */
export interface MethodPreset<Options> {
  readonly method: Partial<Options>;
  readonly recipe: NamedOptions;
  readonly batch: number;
  readonly epochs: number;
  /** At batch 256. */
  readonly lr: number;
  readonly lrScaling?: 'linear' | 'sqrt';
  readonly optimizer?: NamedOptions;
  readonly schedule:
    | { readonly kind: 'cosine' }
    | { readonly kind: 'step'; readonly milestones: readonly number[]; readonly factor: number };
  readonly warmupSteps?: number;
  readonly warmupEpochs?: number;
  readonly evalEvery?: number;
  readonly decodedCache?: string;
}

/** What options of a method are held against. */
export interface RunToCheck {
  /** Images of a step, of all ranks. */
  readonly batch: number;
  /** Whether it goes on: what computes although it makes no sense is refused of new runs alone. */
  readonly resumed: boolean;
}

/** A kind of method: how its options are checked, and one made of them. */
export interface MethodKind<Options = unknown> {
  readonly name: string;
  /** A strict object with `name`, the method's, among its keys; defaults are the paper's. */
  readonly schema: z.ZodObject;
  readonly presets: Readonly<Record<string, MethodPreset<Options>>>;

  /** The views that a step takes with these options, by name. */
  views(options: Options): Readonly<Record<string, ViewKind>>;

  /** Options that suit a batch, where the user has `chosen` none of the ones that depend on it. */
  fit?(options: Options, batch: number, chosen: ReadonlySet<string>): Options;

  /**
   * Of a method that keeps something for each image: its options for data of so many, those of all shards. A run then numbers its images by an
   * index of the shards (`StepSamples.ordinals`), and keeps these options.
   *
   * @throws RangeError for more images than the options say
   */
  forImages?(options: Options, images: number): Options;

  /** What options come to that were left out and follow from others. */
  implied?(options: Options): Partial<Options>;

  /** @throws RangeError for options that do not go together, or not with the batch; names the option, and what to do */
  check?(options: Options, run: RunToCheck): void;

  /**
   * @param sides of the pictures of each view, pixels
   * @throws RangeError for some that a step cannot take; names the option, and what to do
   */
  checkSides?(options: Options, sides: Readonly<Record<string, number>>): void;

  /** @returns why the method's own state, its networks or what an optimizer keeps of them does not fit into so many bytes */
  excess?(options: Options, run: { readonly batch: number; readonly bytes: number }): string | undefined;

  /**
   * @param data.images of an epoch, `inWords` as the user is told, up to twice as many where that is an estimate
   * @returns what does not suit data of this size
   */
  concern?(options: Options, data: { readonly batch: number; readonly images: number; readonly estimated: boolean }): string | undefined;

  /** A method that starts at random; the same seed and options give the same numbers on every engine. */
  create(engine: Engine, options: Options, seed: number): Method;
}
