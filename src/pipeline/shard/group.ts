/**
 * Members -> samples. A sample is a run of neighbouring members with one key:
 *
 *   a/17.cls  a/17.jpg  a/17.json | a/18.jpg | a/19.cls a/19.jpg ...
 *   label     image     other
 *
 * Which member is the image is known when the run is over. A second image, or a name that comes twice, must neither be lost
 * nor get the label of another.
 */
import { counted } from '../../common/counted.js';
import { createHash } from 'node:crypto';
import { headerOf, leftOutByKind, leftOutByName, type LeftOut } from './left-out.js';
import { isImageField, LABEL_FIELD, MAX_IMAGE_BYTES, MAX_LABEL_BYTES, memberName, parseLabel } from './member.js';
import type { TarMember } from './tar/reader.js';
import { printable } from '../../common/printable.js';
import { quoted } from '../../common/quoted.js';
import { shellWord } from '../../common/shell-word.js';

/** One image and what the shard says about it. */
export interface ShardSample {
  /** WebDataset key: the member's path up to the first dot of its base name. */
  readonly key: string;
  /** Ordinal of the sample within the shard, from 0; counts samples that a `part` leaves out. */
  readonly index: number;
  /** Byte of the shard at which the sample's first member begins, with all of its headers; reading can begin here. */
  readonly start: number;
  /** Byte of the shard at which the image's 512-byte tar header begins; the image follows it. */
  readonly offset: number;
  /** Byte at which what is stored of the image ends, when that is the pieces of a sparse file: they are not the image. */
  readonly sparseEnd?: number;
  /** The encoded image, in memory of its own. */
  readonly image: Buffer;
  /** Class index, when the shard has one. */
  readonly label?: number;
  /** Whether a neighbour has its key, so that it cannot be told whose a label or a field is, and neither has any. */
  readonly repeated?: boolean;
  /** Content of the members that `SampleFields.kept` asks for, by field; only when it does. */
  readonly kept?: Readonly<Record<string, Uint8Array>>;
  /** Why that cannot be had. */
  readonly keptProblem?: string;
  /** Why this is a bad sample although the archive is sound: it cannot be told which of its members is the image, or that one is of absurd size. */
  readonly problem?: string;
}

/** Which members of a sample are its image and its label. */
export interface SampleFields {
  /** Field of the image, such as `input.jpg`; several with `;` between, as in WebDataset. Default: the one that is an image by its last extension. */
  readonly imageField?: string | undefined;
  /** Field of the label. Default `cls`. */
  readonly labelField?: string | undefined;
  /** Names of the classes 0, 1, ...: a label may be one of them. */
  readonly classNames?: readonly string[] | undefined;
  /** Fields whose content is to be kept. What is image and label does not depend on it. */
  readonly kept?: KeptFields | undefined;
}

export interface KeptFields {
  /** In lower case. */
  readonly names: readonly string[];
  /** Bytes of all of them in a sample, at most. */
  readonly bytes: number;
}

/** Names a choice of fields: an index made with one says nothing about another. Empty for the default. */
export function fieldsDigest({ imageField, labelField, classNames }: SampleFields = {}): string {
  if (imageField === undefined && labelField === undefined && classNames === undefined) return '';
  return createHash('sha256')
    .update(JSON.stringify([imageField, labelField, classNames]))
    .digest('hex');
}

export interface GroupOptions {
  readonly fields?: SampleFields | undefined;
  /** Every image is a sample, its key the whole name without the extension; what is no image and no label is left out. */
  readonly everyImage?: boolean;
  /** Ordinal of the first sample. */
  readonly first: number;
  /** Whether it is `repeated`: the neighbour may lie before the first member. */
  readonly firstRepeated?: boolean | undefined;
  /** Whether the image of a sample is to be read; a sample whose is not is not yielded. */
  readonly wanted: (index: number) => boolean;
  readonly onLeftOut: (leftOut: LeftOut) => void;
}

/** The members of one key so far. */
interface Run {
  readonly key: string;
  readonly start: number;
  /** By field. */
  readonly members: Map<string, TarMember>;
  /** Fields that may be the image. */
  readonly images: string[];
  index?: number;
  offset?: number;
  sparseEnd?: number;
  image?: Buffer | undefined;
  label?: { readonly value: number; readonly member: TarMember } | undefined;
  readonly kept: Map<string, Buffer>;
  /** Of all members that are to be kept. */
  keptBytes: number;
  problem?: string;
  /** Whether one of its names comes twice, so that it cannot be told whose a label is. */
  repeated: boolean;
}

/** Fields that a message names. */
const NAMED_FIELDS = 6;

export class SampleGrouper {
  readonly #options: GroupOptions;
  readonly #isImage: (field: string) => boolean;
  readonly #labelField: string;
  readonly #classes: ReadonlyMap<string, number>;
  readonly #kept: KeptFields | undefined;
  #count: number;
  /** What the run to come is. */
  #repeated: boolean;
  #run: Run | undefined;

  constructor(options: GroupOptions) {
    const { fields: { imageField, labelField = LABEL_FIELD, classNames = [], kept } = {}, first, firstRepeated = false } = options;
    this.#options = options;
    const chosen = new Set(imageField?.toLowerCase().split(';'));
    this.#isImage = imageField === undefined ? isImageField : (field) => chosen.has(field);
    this.#labelField = labelField.toLowerCase();
    this.#classes = new Map(classNames.map((name, label) => [name, label]));
    this.#kept = kept;
    this.#count = first;
    this.#repeated = firstRepeated;
  }

  /** Samples so far, those before the first included. */
  get count(): number {
    return this.#count;
  }

  /**
   * Takes the next member of the archive, whose content `content` reads. Yields the sample that ended before it, before
   * anything of the member is read.
   */
  async *add(member: TarMember, content: () => Promise<Buffer>): AsyncGenerator<ShardSample, void, undefined> {
    const { onLeftOut, everyImage = false } = this.#options;
    const leftOut = leftOutByKind(member);
    if (leftOut) onLeftOut(leftOut);
    if (member.kind !== 'file') return;
    const name = memberName(member.name, everyImage ? 'last dot' : 'first dot');
    if (!name) {
      onLeftOut(leftOutByName(member));
      return;
    }
    const { key, field } = name;
    let run = this.#run;
    if (run?.key !== key) {
      yield* this.end();
      run = this.#begin(key, member.start);
    }
    const isImage = this.#isImage(field);
    const twice = run.members.has(field);
    // Two images of one name: each is a sample.
    if (isImage && (twice || (everyImage && run.images.length > 0))) {
      run.repeated = true;
      yield* this.end();
      this.#repeated = true;
      run = this.#begin(key, member.start);
    } else if (twice) {
      this.#leaveOut(
        'repeated name',
        member,
        `comes twice, first at byte ${headerOf(run.members.get(field) as TarMember)}; rename one of the two`,
      );
      if (field === this.#labelField || this.#kept?.names.includes(field)) run.repeated = true;
      return;
    }
    run.members.set(field, member);
    let bytes: Promise<Buffer> | undefined;
    const once = (): Promise<Buffer> => (bytes ??= content());
    if (isImage) await this.#addImage(run, field, member, once);
    else if (field === this.#labelField) await this.#addLabel(run, member, once);
    else if (everyImage) this.#leaveOut('other field', member, 'is no image and no label');
    if (this.#kept?.names.includes(field)) await this.#keep(run, field, member, once);
  }

  /** Yields the sample that the last members were, if they were one. */
  *end(): Generator<ShardSample, void, undefined> {
    const run = this.#run;
    this.#run = undefined;
    if (!run) return;
    if (run.index === undefined) {
      for (const member of run.members.values()) this.#reportWithoutImage(run, member);
      return;
    }
    const { key, index, start, offset = start, sparseEnd, image, label } = run;
    if (run.repeated) {
      if (label) this.#leaveOut('repeated name', label.member, ofOneTwice('the label'));
      for (const field of run.kept.keys()) this.#leaveOut('repeated name', run.members.get(field) as TarMember, ofOneTwice('a field'));
    }
    if (this.#options.fields?.labelField === undefined && !run.members.has(LABEL_FIELD) && run.images.length === 1)
      this.#reportOtherLabel(run);
    const problem = run.problem ?? (run.images.length > 1 ? tooMany(run.images) : undefined);
    if (!this.#options.wanted(index)) return;
    yield {
      key,
      index,
      start,
      offset,
      ...(sparseEnd !== undefined && { sparseEnd }),
      image: problem === undefined && image ? image : Buffer.alloc(0),
      ...(label && !run.repeated && { label: label.value }),
      ...(run.repeated && { repeated: true }),
      ...(this.#kept && this.#keptOf(run, this.#kept)),
      ...(problem !== undefined && { problem }),
    };
  }

  #begin(key: string, start: number): Run {
    const run: Run = { key, start, members: new Map(), images: [], kept: new Map(), keptBytes: 0, repeated: this.#repeated };
    this.#repeated = false;
    this.#run = run;
    return run;
  }

  async #addImage(run: Run, field: string, member: TarMember, content: () => Promise<Buffer>): Promise<void> {
    run.images.push(field);
    if (run.images.length > 1) {
      // It is a problem by now, and not to be held in memory.
      run.image = undefined;
      return;
    }
    run.index = this.#count++;
    run.offset = headerOf(member);
    if (member.sparse) run.sparseEnd = member.end;
    if (member.size > MAX_IMAGE_BYTES) run.problem = `image of ${member.size} bytes; expected at most ${MAX_IMAGE_BYTES}`;
    else if (this.#options.wanted(run.index)) run.image = await content();
  }

  async #addLabel(run: Run, member: TarMember, content: () => Promise<Buffer>): Promise<void> {
    const text = member.size > MAX_LABEL_BYTES ? undefined : (await content()).toString('utf8');
    const value = text === undefined ? undefined : (this.#classes.get(text.trim()) ?? parseLabel(text));
    if (value !== undefined) run.label = { value, member };
    else {
      const said = quoted(text?.trim() ?? `${member.size} bytes`);
      const names = this.#classes.size;
      // Who takes every image has no class names to give.
      const hint = this.#options.everyImage ? '' : '; for class names give classNames (--classes-file)';
      const expected = names > 0 ? ` or one of ${counted(names, 'class name')}` : hint;
      const large = /^\s*-?\d+\s*$/.test(text ?? '') ? ' of 32 bits' : '';
      this.#leaveOut('unusable label', member, `holds the label ${said}; expected a whole number${large}${expected}`);
    }
  }

  async #keep(run: Run, field: string, member: TarMember, content: () => Promise<Buffer>): Promise<void> {
    run.keptBytes += member.size;
    // Whether there is an image may not be known yet; its ordinal is.
    if (run.keptBytes <= (this.#kept?.bytes ?? 0) && this.#options.wanted(run.index ?? this.#count)) run.kept.set(field, await content());
  }

  #keptOf({ kept, keptBytes, repeated }: Run, { bytes }: KeptFields): Pick<ShardSample, 'kept' | 'keptProblem'> {
    if (keptBytes <= bytes) return { kept: repeated ? {} : Object.fromEntries(kept) };
    return {
      kept: {},
      keptProblem: `its fields have ${keptBytes} bytes, more than maxFieldBytes ${bytes}; raise it, or ask for fewer fields`,
    };
  }

  /** `target.cls` beside `input.jpg`: only the user knows whether it is the label. */
  #reportOtherLabel({ members }: Run): void {
    for (const [field, member] of members) {
      if (!field.endsWith(`.${LABEL_FIELD}`) || this.#kept?.names.includes(field)) continue;
      const choose = `if it is the label, choose it with labelField (--label-field ${printable(shellWord(field))})`;
      this.#leaveOut('label of another field', member, `is not the field ${LABEL_FIELD}, and its sample has no label; ${choose}`);
    }
  }

  #reportWithoutImage({ key }: Run, member: TarMember): void {
    const { imageField } = this.#options.fields ?? {};
    const image = imageField === undefined ? 'image' : quoted(`${key}.${imageField}`);
    const remedy = 'if it lies elsewhere in the archive, unpack that and pack it with tar --sort=name: a sample is a run of neighbours';
    this.#leaveOut('file without image', member, `has no ${image} beside it; ${remedy}`);
  }

  #leaveOut(kind: LeftOut['kind'], member: TarMember, problem: string): void {
    this.#options.onLeftOut({ kind, name: member.name, offset: headerOf(member), problem });
  }
}

function ofOneTwice(what: string): string {
  return `is ${what} of a name that comes twice, so that it cannot be told which image it is of; rename one of the two`;
}

function tooMany(fields: readonly string[]): string {
  const more = fields.length > NAMED_FIELDS ? ` and ${fields.length - NAMED_FIELDS} more` : '';
  const named = `${fields.slice(0, NAMED_FIELDS).map(printable).join(', ')}${more}`;
  return `has ${fields.length} images: ${named}; a sample has one: choose with imageField (--image-field ${printable(shellWord(fields[0] ?? ''))}), or give each its own key with detco shard`;
}
