/** `detco/interop`: other people's files of weights, both ways. No tensor library, and no Python. */
export { assertThere, loadBackbone, type BackboneSource, type LoadedBackbone } from './load-backbone.js';
export { EXPORT_FORMATS, exportBackbone, endingProblem, type ExportFormat, type ExportReport } from './export-backbone.js';
export { placeProblem } from './export-place.js';
export { importBackbone, type ImportReport } from './import-backbone.js';
export { ENCODERS, type Encoder } from './state-dict.js';
export type { LeftOut } from './foreign-backbone.js';
export { usageLines } from './usage-lines.js';
export { WeightsError } from './weights-error.js';
