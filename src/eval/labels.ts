/** What images are of: one class each, or several classes each. */
import { quoted } from '../common/quoted.js';
import { Random, streamId } from '../common/random.js';
import type { SampleInfo } from '../pipeline/index.js';

/** How a label is read off a sample; undefined where it has none, and is passed over. */
export type ReadLabel<Label> = (sample: SampleInfo) => Label | undefined;

/**
 * The class of an image, from `KEY.cls` or the field that was chosen. A number below 0 stands for none, as of the unlabelled images of STL-10 and
 * of many semi-supervised sets. Of a -1 a batch has no label to begin with.
 */
export const oneClass: ReadLabel<number> = ({ label }) => (label !== undefined && label >= 0 ? label : undefined);

/** For what needs no labels: every image counts. */
export const anyImage: ReadLabel<0> = () => 0;

/** The classes of an image of which it may have several, or none. */
export interface ClassSet {
  readonly present: readonly number[];
  /** VOC's "difficult": not counted when scores are judged. In training they are as good as absent, as FAIR's benchmark has it. */
  readonly difficult: readonly number[];
}

/** The one class of an image as a set: one against all others. */
export const classAsSet: ReadLabel<ClassSet> = (sample) => {
  const label = oneClass(sample);
  return label === undefined ? undefined : { present: [label], difficult: [] };
};

/**
 * Reads sets of classes from a field of JSON: `[3, 7]`, or `{"classes": [3, 7], "difficult": [12]}`.
 *
 * @param field name in lower case, such as `classes.json` for `KEY.classes.json`
 */
export function classSet(field: string): ReadLabel<ClassSet> {
  return ({ fields, shard, key }) => {
    const bytes = fields?.[field];
    if (bytes === undefined) return undefined;
    const text = new TextDecoder().decode(bytes);
    const set = parsed(text);
    if (set === undefined)
      throw new Error(
        `"${key}.${field}" of ${shard} holds ${quoted(text.slice(0, 80))}: expected class numbers below ${MOST_CLASSES} as [3, 7] or {"classes": [3, 7], "difficult": [12]}`,
      );
    return set;
  };
}

function parsed(text: string): ClassSet | undefined {
  try {
    const value = JSON.parse(text) as unknown;
    const { classes: present, difficult = [] } = (Array.isArray(value) ? { classes: value } : Object(value)) as Record<string, unknown>;
    return areClasses(present) && areClasses(difficult) ? { present, difficult } : undefined;
  } catch {
    return undefined;
  }
}

/** One more than the highest label is a dimension of what is trained: a number this high is no class. */
export const MOST_CLASSES = 100_000;

function areClasses(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((one) => Number.isInteger(one) && one >= 0 && one < MOST_CLASSES);
}

/** The same labels in another order: nothing in the images tells them, so what is above chance on them is a fault. */
export function shuffled<Label>(labels: readonly Label[], seed: number, stream: string): Label[] {
  return Array.from(
    new Random(seed, streamId('shuffled labels'), streamId(stream)).permutation(labels.length),
    (at) => labels[at] as Label,
  );
}
