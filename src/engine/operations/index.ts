/**
 * The operations of training that TensorFlow.js has not, each as a composition of those it has: right on every backend.
 *
 * An engine begins with these and puts faster ones in their place, which have to agree with them (test/engine/contract.ts). To add one: its
 * file here, its line below, and its name with shapes and errors in `Engine`.
 */
import type { Engine } from '../engine.js';
import { compositeAugment } from './augment.js';
import { compositeEnqueue } from './enqueue.js';
import { compositeGroupedBatchNorm } from './grouped-batch-norm.js';
import { compositeInfoNce } from './info-nce.js';
import { compositeLerp } from './lerp.js';
import { compositeScatterRows } from './scatter-rows.js';
import { compositeSgd } from './sgd.js';
import { compositeSimilarities } from './similarities.js';

export type Operations = Pick<
  Engine,
  'augment' | 'groupedBatchNorm' | 'infoNce' | 'similarities' | 'sgd' | 'lerp' | 'enqueue' | 'scatterRows'
>;

export const compositions: Operations = {
  augment: compositeAugment,
  groupedBatchNorm: compositeGroupedBatchNorm,
  infoNce: compositeInfoNce,
  similarities: compositeSimilarities,
  sgd: compositeSgd,
  lerp: compositeLerp,
  enqueue: compositeEnqueue,
  scatterRows: compositeScatterRows,
};
