/**
 * Batch slots: shared memory for the views of one batch and a record of where each row came from.
 *
 *   [ view a: N x bytes | view b: N x bytes | ... | N records | N x pictures: what is left for a device to do | N x fields | N compressed images ]
 */
import { deferredRecipe, type PendingView } from '../augment/defer.js';
import type { Size } from '../augment/parameters.js';
import { type Recipe, viewBytes, viewPictures, viewShape } from '../augment/recipe.js';
import type { KeptFields } from '../shard/group.js';
import type { BatchView, CompressedImage, SampleInfo } from './batch.js';

/** Largest image that a slot takes compressed, bytes; ImageNet's have some 110,000 on average. Memory that no image reaches is never touched. */
export const MAX_COMPRESSED_BYTES = 512 * 1024;

/** Longest key that fits a record, bytes of UTF-8. */
export const MAX_KEY_BYTES = 992;
const RECORD_WORDS = 9;
const RECORD_BYTES = 4 * RECORD_WORDS + MAX_KEY_BYTES;
const NO_LABEL = -1;
/** Room for the JSON of a picture's pending steps; those of the built-in recipes take up to about 700 bytes. */
const PENDING_BYTES = 2048;

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** What a worker notes of a row. */
export interface RowRecord {
  readonly lane: number;
  /** Samples taken from the lane's stream up to and with this one. */
  readonly taken: number;
  /** Good ones among them. */
  readonly good: number;
  /** Ordinal of the shard. */
  readonly shard: number;
  /** Ordinal of the sample in its shard. */
  readonly index: number;
  readonly image: Size;
  readonly key: string;
  readonly label?: number | undefined;
}

interface ViewLayout {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  readonly shape: readonly number[];
  /** Pictures of a sample, and those of the views before it. */
  readonly pictures: number;
  readonly picturesBefore: number;
}

export interface SlotShape {
  readonly recipe: Recipe;
  readonly batchSize: number;
  /** Whether views are left for a device to finish. */
  readonly deferred: boolean;
  /** Whether images come compressed where a device can decode them. */
  readonly compressed: boolean;
  /** Fields of samples that go along, and the bytes of all of them in a sample at most. */
  readonly kept?: KeptFields | undefined;
}

/** Length of a field that a sample does not have. */
const NO_FIELD = -1;
/** A compressed image and, before it, its length; 0 where the worker has decoded it. */
const IMAGE_ROOM = 4 + MAX_COMPRESSED_BYTES;

function layout({ recipe, batchSize, deferred, compressed, kept }: SlotShape) {
  let offset = 0;
  let pictures = 0;
  const views = Object.entries((deferred ? deferredRecipe(recipe) : recipe).views).map(([name, view]) => {
    const placed: ViewLayout = {
      name,
      offset,
      bytes: viewBytes(view),
      shape: viewShape(view),
      pictures: viewPictures(view),
      picturesBefore: pictures,
    };
    offset += batchSize * placed.bytes;
    pictures += placed.pictures;
    return placed;
  });
  const records = Math.ceil(offset / 4) * 4;
  const pending = records + batchSize * RECORD_BYTES;
  const fields = pending + (deferred ? batchSize * pictures * PENDING_BYTES : 0);
  // Their lengths, and their bytes one after another.
  const fieldBytes = kept ? 4 * kept.names.length + Math.ceil(kept.bytes / 4) * 4 : 0;
  const images = fields + batchSize * fieldBytes;
  const total = images + (compressed ? batchSize * IMAGE_ROOM : 0);
  return { views, pictures, records, pending, fields, fieldBytes, images, total };
}

/** Bytes of a slot. */
export function slotBytes(shape: SlotShape): number {
  return layout(shape).total;
}

/** One slot, as seen by a worker or by the consumer. */
export class Slot {
  readonly buffer: SharedArrayBuffer;
  readonly #views: readonly ViewLayout[];
  readonly #pictures: number;
  readonly #records: number;
  readonly #pending: number | undefined;
  readonly #kept: readonly string[] | undefined;
  readonly #fields: number;
  readonly #fieldBytes: number;
  readonly #images: number | undefined;

  constructor(shape: SlotShape, buffer?: SharedArrayBuffer) {
    const { views, pictures, records, pending, fields, fieldBytes, images, total } = layout(shape);
    this.#views = views;
    this.#pictures = pictures;
    this.#records = records;
    this.#pending = shape.deferred ? pending : undefined;
    this.#kept = shape.kept?.names;
    this.#fields = fields;
    this.#fieldBytes = fieldBytes;
    this.#images = shape.compressed ? images : undefined;
    this.buffer = buffer ?? new SharedArrayBuffer(total);
  }

  /** The bytes of one row, by view. */
  row(row: number): Record<string, Uint8Array> {
    return Object.fromEntries(
      this.#views.map(({ name, offset, bytes }) => [name, new Uint8Array(this.buffer, offset + row * bytes, bytes)]),
    );
  }

  /** The first `rows` rows as the views of a batch. */
  batchViews(rows: number): Record<string, BatchView> {
    return Object.fromEntries(
      this.#views.map((view) => {
        const { name, offset, bytes, shape } = view;
        const data = new Uint8Array(this.buffer, offset, rows * bytes);
        return [name, { data, shape: [rows, ...shape], ...(this.#pending !== undefined && { pending: this.#readPending(view, rows) }) }];
      }),
    );
  }

  /** Notes what is left to do to the views of a row. */
  writePending(row: number, pending: Readonly<Record<string, readonly PendingView[]>>): void {
    for (const view of this.#views) {
      for (const [picture, left] of (pending[view.name] ?? []).entries()) {
        const text = encoder.encode(JSON.stringify(left));
        if (text.length > PENDING_BYTES - 4) {
          throw new RangeError(
            `View ${view.name} leaves ${text.length} bytes of steps to the device, at most ${PENDING_BYTES - 4} fit: use fewer operations, or augment 'worker'`,
          );
        }
        const at = this.#pendingAt(view, row, picture);
        new Int32Array(this.buffer, at, 1)[0] = text.length;
        new Uint8Array(this.buffer, at + 4, text.length).set(text);
      }
    }
  }

  #readPending(view: ViewLayout, rows: number): PendingView[] {
    return Array.from({ length: rows * view.pictures }, (_, i) => {
      const at = this.#pendingAt(view, Math.floor(i / view.pictures), i % view.pictures);
      const [length = 0] = new Int32Array(this.buffer, at, 1);
      return JSON.parse(decoder.decode(new Uint8Array(this.buffer, at + 4, length).slice())) as PendingView;
    });
  }

  #pendingAt({ picturesBefore }: ViewLayout, row: number, picture: number): number {
    return (this.#pending ?? 0) + (row * this.#pictures + picturesBefore + picture) * PENDING_BYTES;
  }

  writeRecord(row: number, record: RowRecord): void {
    const at = this.#records + row * RECORD_BYTES;
    const key = encoder.encode(record.key);
    const { lane, taken, good, shard, index, image, label = NO_LABEL } = record;
    const words = [lane, taken, good, shard, index, image.width, image.height, label, key.length];
    new Int32Array(this.buffer, at, RECORD_WORDS).set(words);
    new Uint8Array(this.buffer, at + 4 * RECORD_WORDS, MAX_KEY_BYTES).set(key);
  }

  /** Notes the image of a row, which is for a device to decode; undefined if its views are written. At most `MAX_COMPRESSED_BYTES`. */
  writeCompressed(row: number, image: Uint8Array | undefined): void {
    if (this.#images === undefined) return;
    const at = this.#images + row * IMAGE_ROOM;
    new Int32Array(this.buffer, at, 1)[0] = image?.byteLength ?? 0;
    if (image) new Uint8Array(this.buffer, at + 4, image.byteLength).set(image);
  }

  /** The compressed image of each of the first `rows` rows, where there is one; undefined when none are asked for. */
  readCompressed(rows: number): (CompressedImage | undefined)[] | undefined {
    const images = this.#images;
    if (images === undefined) return undefined;
    return Array.from({ length: rows }, (_, row) => {
      const at = images + row * IMAGE_ROOM;
      const [length = 0] = new Int32Array(this.buffer, at, 1);
      return length === 0 ? undefined : { ...this.readRecord(row).image, data: new Uint8Array(this.buffer, at + 4, length) };
    });
  }

  /** Notes the fields of a row's sample, of which there is room for the bytes of `SlotShape.kept`. */
  writeFields(row: number, fields: Readonly<Record<string, Uint8Array>>): void {
    const names = this.#kept ?? [];
    const at = this.#fields + row * this.#fieldBytes;
    const lengths = new Int32Array(this.buffer, at, names.length);
    let next = at + 4 * names.length;
    for (const [i, name] of names.entries()) {
      const field = fields[name];
      lengths[i] = field?.byteLength ?? NO_FIELD;
      if (!field) continue;
      new Uint8Array(this.buffer, next, field.byteLength).set(field);
      next += field.byteLength;
    }
  }

  /** Copies of the fields of a row's sample; undefined when none are asked for. */
  readFields(row: number): Record<string, Uint8Array> | undefined {
    if (!this.#kept) return undefined;
    const at = this.#fields + row * this.#fieldBytes;
    const lengths = new Int32Array(this.buffer, at, this.#kept.length);
    let next = at + 4 * this.#kept.length;
    const fields: [string, Uint8Array][] = [];
    for (const [i, name] of this.#kept.entries()) {
      const length = lengths[i] ?? NO_FIELD;
      if (length === NO_FIELD) continue;
      fields.push([name, new Uint8Array(this.buffer, next, length).slice()]);
      next += length;
    }
    return Object.fromEntries(fields);
  }

  readRecord(row: number): RowRecord {
    const at = this.#records + row * RECORD_BYTES;
    const words = new Int32Array(this.buffer, at, RECORD_WORDS);
    const [lane = 0, taken = 0, good = 0, shard = 0, index = 0, width = 0, height = 0, label = NO_LABEL, length = 0] = words;
    // TextDecoder refuses shared memory, hence the copy.
    const key = decoder.decode(new Uint8Array(this.buffer, at + 4 * RECORD_WORDS, length).slice());
    return { lane, taken, good, shard, index, image: { width, height }, key, label: label === NO_LABEL ? undefined : label };
  }
}

/** A row's record as the user sees it. */
export function sampleInfo(
  { shard, index, key, label }: RowRecord,
  { shards, firsts }: { readonly shards: readonly string[]; readonly firsts?: readonly number[] | undefined },
  fields?: SampleInfo['fields'],
): SampleInfo {
  const first = firsts?.[shard];
  return {
    shard: shards[shard] ?? '',
    index,
    ...(first !== undefined && { ordinal: first + index }),
    key,
    ...(label !== undefined && { label }),
    ...(fields && { fields }),
  };
}
