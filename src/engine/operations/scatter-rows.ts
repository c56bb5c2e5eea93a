/** bank[ordinals[i]] <- rows[i], as TensorFlow.js operations: of old and new rows, those that are to stand. */
import * as tf from '@tensorflow/tfjs-core';
import { checkOrdinals, checkRows } from '../check.js';
import type { Engine } from '../engine.js';

export const compositeScatterRows: Engine['scatterRows'] = (bank, rows, ordinals) => {
  checkRows(bank, rows, ordinals);
  const places = ordinals.dataSync();
  checkOrdinals(bank, places);
  const [held] = bank.shape;
  const standing = Int32Array.from({ length: held }, (_, row) => row);
  places.forEach((place, row) => (standing[place] = held + row));
  tf.tidy(() => bank.assign(tf.gather(tf.concat([bank, rows as tf.Tensor2D]), tf.tensor1d(standing, 'int32'))));
};
