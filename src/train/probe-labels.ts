/**
 * Which labels the linear probe learns from, and room for their classes. Both come before an update begins: what fails in the middle of one
 * cannot be saved.
 */
import { formatByteSize } from '../common/byte-size.js';
import { quoted } from '../common/quoted.js';
import { OnlineProbe } from '../eval/index.js';
import type { Batch, SampleInfo } from '../pipeline/batch/batch.js';
import { optionName } from './flags.js';
import { OptionsError } from './options-error.js';
import type { Labels } from './step.js';

const EXPECTED = `expected classes from 0 to ${OnlineProbe.mostClasses - 1}`;

/** What is asked of a probe before it learns. */
type Probe = Pick<OnlineProbe, 'begun' | 'bytesFor' | 'reserve'>;

interface Labelled extends SampleInfo {
  readonly label: number;
}

export class ProbeLabels {
  readonly #probe: Probe;
  /** Bytes that the probe may take. */
  readonly #room: number;
  readonly #warn: (message: string) => void;
  /** Whether no batch has come. */
  #first = true;
  /** Whether it has been told that a label counts as none. */
  #told = false;

  /** @param warn is called at most once for each kind of warning */
  constructor(probe: Probe, { room, warn }: { readonly room: number; readonly warn: (message: string) => void }) {
    this.#probe = probe;
    this.#room = room;
    this.#warn = warn;
  }

  /**
   * To be called with each batch, before its update.
   *
   * @returns the class of each image, undefined where it has none, or one that the probe has no room for
   * @throws OptionsError at the first batch, where every image has a label and the probe has room for none; at any for a label whose classes
   *   take more memory than there is for the probe, before that is taken
   */
  of({ samples }: Pick<Batch, 'samples'>): Labels {
    const stray = samples.find((sample): sample is Labelled => sample.label !== undefined && !fits(sample.label));
    const labels = samples.map(({ label }) => (label !== undefined && fits(label) ? label : undefined));
    const nothing = labels.every((label) => label === undefined);
    if (this.#first && !this.#probe.begun && nothing) this.#nothingToLearn(samples, stray);
    this.#first = false;
    if (stray && !this.#told) {
      this.#told = true;
      this.#warn(`linear probe: ${described(stray)} counts as none: ${EXPECTED}. Others like it are passed over in silence`);
    }
    this.#makeRoom(samples);
    return labels;
  }

  /** A label is a number of columns: what is no class may ask for thousands. */
  #makeRoom(samples: readonly SampleInfo[]): void {
    const known = samples.filter((sample): sample is Labelled => sample.label !== undefined && fits(sample.label));
    const [first, ...rest] = known;
    if (!first) return;
    const highest = rest.reduce((a, b) => (b.label > a.label ? b : a), first);
    const classes = highest.label + 1;
    const bytes = this.#probe.bytesFor(classes);
    if (bytes > this.#room)
      throw new OptionsError(
        `${optionName('evaluate')} linear: ${described(highest)} makes it a probe of ${classes} classes, which takes ${formatByteSize(bytes)} ` +
          `of memory, and there are ${formatByteSize(this.#room)} for it. Number the classes from 0 on, name the field that has the class with ` +
          `${optionName('labelField')}, or leave linear out`,
      );
    this.#probe.reserve(classes);
  }

  /** One batch does not tell whether labels are few or none: that all of many are no classes is no accident. */
  #nothingToLearn(samples: readonly SampleInfo[], stray: Labelled | undefined): void {
    const images = `of the ${samples.length} images of the first batch`;
    if (stray && samples.every(({ label }) => label !== undefined))
      throw new OptionsError(
        `${optionName('evaluate')} linear: no label ${images} is a class that the probe has room for: ${EXPECTED}, and ` +
          `${described(stray)} is the first. Name the field that has the class with ${optionName('labelField')}, or leave linear out`,
      );
    this.#warn(
      `linear probe: none ${images} has a label to learn from; it begins with the first that has one. If none should have: KEY.cls members ` +
        `of the shards are labels, or those of the field that ${optionName('labelField')} names`,
    );
  }
}

function fits(label: number): boolean {
  return label >= 0 && label < OnlineProbe.mostClasses;
}

function described({ shard, key, label }: Labelled): string {
  return `the label ${label} of ${quoted(key)} in ${quoted(shard)}`;
}
