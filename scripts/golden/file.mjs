/**
 * Golden files: what an independent PyTorch implementation of a method saw in its first steps.
 *
 *     { method, options, optimizer, batch, seed, totalSteps, views: { NAME: shape }, samples?: [...], steps: [...], evalFeatures }
 */
import { z } from 'zod';
import { METHOD_NAMES } from '../../dist/model/index.js';
import { optimizerSchema } from '../../dist/train/optimizer/index.js';

const numbers = z.record(z.string(), z.number());
const probes = z.record(z.string(), z.array(z.number()));
const count = z.int().positive();

const step = z.object({
  loss: z.number(),
  /** The parts of the loss. */
  terms: numbers,
  /** Of the gradient of each parameter, L2. */
  gradNorm: numbers,
  /** How far each parameter is from its start after the step, L2, by section: the trained network first. */
  moved: z.record(z.string(), numbers),
  /** Of the trained network's batch norms. */
  runningMeanNorm: numbers,
  runningVarNorm: numbers,
  /** The first values of the first two rows of what is carried from a step to the next, such as keys. */
  probe: probes.default({}),
});

const schema = z.object({
  method: z.enum(METHOD_NAMES),
  options: z.record(z.string(), z.unknown()),
  optimizer: z.object({ lr: z.number() }).and(optimizerSchema),
  batch: count,
  seed: z.int(),
  totalSteps: count,
  /** Where they are not all of the first epoch. */
  stepsPerEpoch: count.optional(),
  /** [N, H, W, 3], or [N, 9, h, w, 3] and [N, crops, H, W, 3], by name. */
  views: z.record(z.string(), z.array(count)),
  /** What is known of the images of each step: their numbers among all, and how the pictures of a view were made. */
  samples: z
    .array(
      z.object({
        ordinals: z.array(z.int().nonnegative()).optional(),
        plans: z.record(z.string(), z.array(z.object({}).loose())).optional(),
      }),
    )
    .optional(),
  /** What a view is called where its pixels are named, if not by its own name. */
  viewTags: z.record(z.string(), z.string()).default({}),
  steps: z.array(step).min(1),
  /** Of the backbone in eval mode after the steps, for the first view of the first step. */
  evalFeatures: z.record(z.string(), z.object({ norm: z.number(), probe: z.array(z.number()) })),
});

/** The form of the files that `detco_torch.py` writes, which say of DetCo's options what differs. */
const detcoSchema = z.object({
  config: z.object({
    arch: z.string(),
    batch: count,
    global_size: count,
    patch_size: count,
    groups: count,
    K: count,
    lr: z.number(),
    momentum_key: z.number(),
    temperature: z.number(),
    hidden: count.nullable(),
    seed: z.int(),
  }),
  steps: z.array(
    z
      .object({ paramMoved: numbers, keyParamMoved: numbers, keyProbe: probes })
      .loose()
      .transform(({ paramMoved, keyParamMoved, keyProbe, ...rest }) => ({
        ...rest,
        moved: { query: paramMoved, key: keyParamMoved },
        probe: keyProbe,
      })),
  ),
  evalFeatures: z.unknown(),
});

/** Checks a golden file's text; throws a TypeError that says what is not as expected. */
export function parseGolden(text) {
  let json;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw new TypeError(`Not a golden file: ${error.message}`, { cause: error });
  }
  return parse(schema, json !== null && typeof json === 'object' && 'method' in json ? json : ofDetco(parse(detcoSchema, json)));
}

function parse(as, json) {
  const parsed = as.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new TypeError(`Not a golden file: at "${issue?.path.join('.')}": ${issue?.message}`);
}

function ofDetco({ config, steps, evalFeatures }) {
  const { arch, batch, hidden, K, temperature, momentum_key: keyMomentum, groups: bnGroups, seed, lr } = config;
  const [global, patches] = [
    [batch, config.global_size, config.global_size, 3],
    [batch, 9, config.patch_size, config.patch_size, 3],
  ];
  return {
    method: 'detco',
    options: { arch, hidden: hidden ?? undefined, queueSize: K, temperature, keyMomentum, bnGroups },
    optimizer: { name: 'sgd', lr, momentum: 0.9, weightDecay: 1e-4 },
    batch,
    seed,
    totalSteps: steps.length,
    views: { globalQ: global, globalK: global, patchesQ: patches, patchesK: patches },
    viewTags: { globalQ: 'iq', globalK: 'ik', patchesQ: 'pq', patchesK: 'pk' },
    steps,
    evalFeatures,
  };
}
