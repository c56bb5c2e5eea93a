/** Carries a drawn plan out on the kernels. */
import { isGeometric } from '../../common/affine.js';
import type { Kernels, Source } from './kernels.js';
import type { PicturePlan, Step } from './parameters.js';

/** Applies one operation to the working image. */
export function applyStep(kernels: Kernels, step: Step): void {
  switch (step.op) {
    case 'brightness':
    case 'contrast':
    case 'saturation':
    case 'sharpness':
      return kernels[step.op](step.factor);
    case 'hue':
      return kernels.hue(step.shift);
    case 'grayscale':
    case 'horizontalFlip':
    case 'autoContrast':
    case 'equalize':
    case 'invert':
    case 'lab':
      return kernels[step.op]();
    case 'mask':
      return;
    case 'gaussianBlur':
      return kernels.gaussianBlur(step.sigma);
    case 'posterize':
      return kernels.posterize(step.bits);
    case 'solarize':
      return kernels.solarize(step.threshold);
    case 'solarizeAdd':
      return kernels.solarizeAdd(step.add, step.threshold);
    case 'rotate':
    case 'shearX':
    case 'shearY':
    case 'translateX':
    case 'translateY':
      return kernels.transform(step);
  }
}

/**
 * Renders a picture of a source into `out`.
 *
 * A flip before the first geometric operation is done by the crop, which costs nothing: everything else commutes
 * with mirroring.
 */
export function execute(kernels: Kernels, source: Source, plan: PicturePlan, out: Uint8Array): void {
  const firstGeometric = plan.steps.findIndex(isGeometric);
  const early = firstGeometric === -1 ? plan.steps.length : firstGeometric;
  const isEarlyFlip = (step: Step, i: number): boolean => step.op === 'horizontalFlip' && i < early;
  kernels.crop(source, plan.crop, plan.steps.filter(isEarlyFlip).length % 2 === 1);
  plan.steps.forEach((step, i) => {
    if (!isEarlyFlip(step, i)) applyStep(kernels, step);
  });
  if (plan.jigsaw) kernels.cutPatches(plan.jigsaw, out);
  else if (plan.turns) kernels.readTurns(out);
  else kernels.read(out);
}
