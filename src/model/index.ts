/** `detco/model`: methods, and the networks they are made of. */
export type {
  DrawnView,
  Encoders,
  HostState,
  Method,
  MethodKind,
  MethodPreset,
  ParameterGroup,
  StepAt,
  StepResult,
  StepSamples,
  StepViews,
  ViewKind,
} from './method.js';
export {
  METHOD_NAMES,
  METHOD_PRESETS,
  methodKind,
  methodOptions,
  methodOptionsSchema,
  type MethodInput,
  type MethodOptions,
} from './methods/index.js';
export { assign } from './network/assign.js';
export { Backbone, createBackbone } from './network/backbone.js';
export { fromTorchLayout, toTorchLayout, type Weights } from './network/parameters.js';
export {
  ARCHITECTURE_NAMES,
  type Architecture,
  LAST_STAGE,
  type ResNetOptions,
  type Stage,
  STAGES,
  type Stem,
} from './network/architecture.js';
