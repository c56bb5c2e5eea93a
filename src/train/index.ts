/**
 * `detco/train`: a run from options to checkpoints, without a command line.
 *
 * Options -> pipeline, engine and method -> loop; the loop leaves metrics, evaluations and checkpoints in the run's folder.
 */
export { PRESET_NAMES, readConfigFile, resolveConfig } from './config.js';
export type { ConfigInput, TrainConfig } from './config-schema.js';
export { OptionsError } from './options-error.js';
export { trainingRecipe } from './training-recipe.js';
export { configDigest } from './loss-options.js';
export { loadCheckpoint, type LoadedCheckpoint } from './checkpoint.js';
export { CheckpointError, type TrainState } from './checkpoint-state.js';
export { lastCheckpoint } from './run-checkpoints.js';
export { augmentOnDevice } from './device-augment.js';
export { readSafetensors, writeSafetensors, type StoredTensor, type TensorSource } from '../common/safetensors.js';
export { learningRate, type LearningRateOptions, type Schedule } from './schedule.js';
export { type EvaluationMetrics, type StepMetrics } from './metrics.js';
export { RunDirectoryError } from './run-directory-error.js';
export type { TrainHooks } from './hooks.js';
export type { TrainOptions } from './beginning.js';
export { train, type TrainControls, type TrainResult } from './train.js';
