/**
 * What others call a backbone: where in their files it lies, what its names begin with, and what else they keep beside it. To read
 * one more project's files, add its line.
 */

/** A way of naming the tensors of a backbone. */
export interface Naming {
  /** Who writes it. */
  readonly form: string;
  /** What stands before torchvision's names. */
  readonly prefix: string;
  /** The same of the momentum encoder, where the file has both: the first that is there is taken. */
  readonly keyPrefixes?: readonly string[];
  /** The name of its first filter behind the prefix; by default torchvision's, `conv1.weight`. */
  readonly first?: string;
  /** A name behind the prefix -> torchvision's. */
  readonly rename?: (name: string) => string;
}

/** Momentum encoders beside a `backbone.`: of solo-learn; MoCo and BYOL of OpenSelfSup; the same of mmselfsup 1, whose averaged models wrap. */
const BESIDE_BACKBONE = ['momentum_backbone.', 'encoder_k.0.', 'target_net.0.', 'encoder_k.module.0.', 'target_net.module.0.'] as const;

/** The first whose first filter is there is taken. */
export const NAMINGS: readonly Naming[] = [
  { form: 'torchvision, timm, DINO or DetCo', prefix: '' },
  { form: 'Detectron2', prefix: '', first: 'stem.conv1.weight', rename: fromDetectron2 },
  { form: 'MoCo', prefix: 'module.encoder_q.', keyPrefixes: ['module.encoder_k.'] },
  { form: 'MoCo v3', prefix: 'module.base_encoder.', keyPrefixes: ['module.momentum_encoder.'] },
  { form: 'OpenSelfSup, mmselfsup or solo-learn', prefix: 'backbone.', keyPrefixes: BESIDE_BACKBONE },
  { form: 'VISSL', prefix: '_feature_blocks.' },
  { form: 'VISSL', prefix: 'trunk._feature_blocks.' },
  { form: 'VISSL', prefix: 'trunk.' },
  { form: 'DINO', prefix: 'module.backbone.' },
  { form: 'Lightning', prefix: 'model.backbone.' },
  { form: 'SimSiam or PyContrast', prefix: 'module.encoder.' },
  { form: 'PyContrast or solo-learn', prefix: 'encoder.', keyPrefixes: ['momentum_encoder.'] },
  { form: 'OpenSelfSup', prefix: 'encoder_q.0.', keyPrefixes: ['encoder_k.0.'] },
  { form: 'OpenSelfSup', prefix: 'online_net.0.', keyPrefixes: ['target_net.0.'] },
  { form: 'MoCo', prefix: 'encoder_q.', keyPrefixes: ['encoder_k.'] },
  { form: 'DistributedDataParallel', prefix: 'module.' },
  { form: 'torch.compile', prefix: '_orig_mod.' },
  { form: 'torch.compile', prefix: 'module._orig_mod.' },
];

/** Where DINO keeps its momentum encoder, which is what it evaluates. */
export const TEACHER = 'teacher';

/** Where a file keeps its state dict, by keys; first the more particular. */
export const PLACES: readonly (readonly string[])[] = [
  ['state_dict'],
  ['classy_state_dict', 'base_model', 'model', 'trunk'],
  [TEACHER],
  ['model'],
  ['model_state_dict'],
  [],
];

/** Keys that hold no part of a backbone, and what they do hold. */
const BESIDE: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/(^|\.)num_batches_tracked$/, 'counts of batches, which nothing here reads'],
  [/(^|\.)(encoder_k|key_encoder|momentum_\w+|\w+_momentum|target_net\w*|teacher\w*)\./, 'the momentum encoder'],
  [/(^|\.)\w*queue\w*$/, 'the queue of negatives'],
  [/(^|\.)(encoder_q|online_net|student)\./, 'the query encoder'],
  [/(^|\.)(fc|classifier|online_classifier|last_linear|linear)(\.|$)/, 'a classifier, or a head for the pretext task'],
  [/(^|\.)(heads?|\w*_head|projector|projection\w*|predictor|prediction\w*|mlp|neck|prototypes?)(\.|$)/, 'a head for the pretext task'],
];

/** Why a key is left aside; undefined for one that ought to be known. */
export function reasonBeside(key: string): string | undefined {
  return BESIDE.find(([pattern]) => pattern.test(key))?.[1];
}

/**
 * torchvision's name -> Detectron2's, by the rules that MoCo's and DetCo's converters have: `layer1` is `res2`, a batch norm belongs to its
 * convolution, and what is in no stage is the stem's.
 */
export function toDetectron2(name: string): string {
  const staged = name.startsWith('layer') ? name.replace(/^layer(\d)/, (_, stage: string) => `res${Number(stage) + 1}`) : `stem.${name}`;
  return staged
    .replace(/(^|\.)bn(\d)\./, '$1conv$2.norm.')
    .replace('downsample.0.', 'shortcut.')
    .replace('downsample.1.', 'shortcut.norm.');
}

/** The inverse of `toDetectron2`. */
export function fromDetectron2(name: string): string {
  return name
    .replace(/^stem\./, '')
    .replace(/^res(\d)\./, (_, stage: string) => `layer${Number(stage) - 1}.`)
    .replace(/(^|\.)conv(\d)\.norm\./, '$1bn$2.')
    .replace('shortcut.norm.', 'downsample.1.')
    .replace('shortcut.', 'downsample.0.');
}
