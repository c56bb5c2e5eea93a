/** The kernels that training needs and TensorFlow.js lacks, each one operator of native/torch. */
import type { BatchMatMulAttrs, TensorInfo } from '@tensorflow/tfjs-core';
import { InfoNce } from '../../operations/info-nce.js';
import type { InfoNceAttrs, InfoNceInputs } from '../../operations/info-nce.js';
import { SimilarityProduct } from '../../operations/similarities.js';
import type { SimilarityProductInputs } from '../../operations/similarities.js';
import { GroupedBatchNorm, GroupedBatchNormGrad } from '../../operations/grouped-batch-norm.js';
import type {
  GroupedBatchNormAttrs,
  GroupedBatchNormGradAttrs,
  GroupedBatchNormGradInputs,
  GroupedBatchNormInputs,
} from '../../operations/grouped-batch-norm.js';
import { register } from '../register.js';
import type { Ref } from '../torch.js';

export function registerTraining(): void {
  register<GroupedBatchNormInputs, GroupedBatchNormAttrs>(GroupedBatchNorm, ({ inputs, attrs, backend, torch }) => {
    const { x, scale, offset, residual } = inputs;
    const { groups, epsilon, relu } = attrs;
    const value = backend.held(x);
    const added = residual === undefined ? null : backend.cast(backend.held(residual), value.type);
    const results = torch.runAll(
      'detco::grouped_batch_norm',
      value,
      backend.tensor(scale),
      backend.tensor(offset),
      added,
      groups,
      epsilon,
      relu,
    );
    return (results as Ref[]).map((ref) => backend.output(ref, 'float32'));
  });

  register<GroupedBatchNormGradInputs, GroupedBatchNormGradAttrs>(
    GroupedBatchNormGrad,
    ({ inputs, attrs, backend, torch }): TensorInfo[] => {
      const { x, y, dy, scale, groupMean, groupInverse } = inputs;
      const value = backend.held(x);
      const results = torch.runAll(
        'detco::grouped_batch_norm_grad',
        value,
        y === undefined ? null : backend.held(y),
        backend.cast(backend.held(dy), value.type),
        backend.tensor(scale),
        backend.tensor(groupMean),
        backend.tensor(groupInverse),
        attrs.groups,
        attrs.residual,
      );
      return results.flatMap((ref) => (ref === undefined ? [] : [backend.output(ref, 'float32')]));
    },
  );

  register<InfoNceInputs, InfoNceAttrs>(InfoNce, ({ inputs: { q, keys, queue }, attrs: { temperature }, backend, torch }) => {
    const operands = [q, keys, queue].map((info) => backend.tensor(info));
    return (torch.runAll('detco::info_nce', ...operands, temperature) as Ref[]).map((ref) => backend.output(ref, 'float32'));
  });

  register<SimilarityProductInputs, BatchMatMulAttrs>(SimilarityProduct, ({ inputs: { a, b }, attrs, backend, torch }) => {
    const product = torch.run('detco::matmul', backend.tensor(a), backend.tensor(b), attrs.transposeA, attrs.transposeB);
    return [backend.output(product, 'float32')];
  });
}
