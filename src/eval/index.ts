/** What the features of an encoder are worth. */
export { evaluateKnn, vote } from './knn-evaluation.js';
export { evaluateLinear, type LinearResult } from './linear-evaluation.js';
export { evaluateRank } from './rank-evaluation.js';
export { evaluateSvm, type SvmResult } from './svm-evaluation.js';
export { type EvaluationOptions, EvaluationError, type ProgressOf } from './evaluation.js';
export { extractFeatures, type LabelledFeatures } from './features.js';
export { EvaluationImages, IMAGE_OPTIONS, type ImageOptions, type ImageShare } from './images.js';
export { anyImage, oneClass } from './labels.js';
export { OnlineProbe, type ProbeGuesses } from './online-probe.js';
export { featureRank } from './rank.js';
