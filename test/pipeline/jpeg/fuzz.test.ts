/**
 * Damaged JPEGs: the decoder gives sharp's pixels or leaves the image to sharp, whatever was changed and at whatever size it decodes, and
 * holds no more memory than the size in the header warrants. JPEG_FUZZ_RUNS=20000 looks at more of them.
 */
import { readFileSync } from 'node:fs';
import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import sharp from 'sharp';
import { JpegDecoder } from '#dist/pipeline/jpeg/decoder.js';
import { draftSize } from '#dist/pipeline/jpeg/draft.js';
import { jpegHeader, type JpegHeader } from '#dist/pipeline/jpeg/header.js';
import { sharpPixels } from './sharp-pixels.js';

const RUNS = Number(process.env['JPEG_FUZZ_RUNS'] ?? 400);
/** Larger images are not decoded here, as the pipeline does not beyond its limit. */
const MOST_PIXELS = 1 << 20;
/** Memory beyond the file for each pixel of width, with the samplings that take most. */
const COLUMN_BYTES = 280;

const { cases } = JSON.parse(readFileSync(new URL('../../../fixtures/golden/jpeg.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly { readonly file: string }[];
};
const sound = cases.map(({ file }) => Buffer.from(file, 'base64'));

/** One thing that happens to a file; places are shares of its length. */
type Damage =
  | { readonly kind: 'cut'; readonly at: number }
  | { readonly kind: 'flip'; readonly at: number; readonly bit: number }
  | { readonly kind: 'write'; readonly at: number; readonly byte: number }
  | { readonly kind: 'remove' | 'repeat'; readonly at: number; readonly bytes: number }
  | { readonly kind: 'splice'; readonly at: number; readonly from: number; readonly other: number; readonly bytes: number }
  | { readonly kind: 'marker'; readonly at: number; readonly marker: number };

// Not a double: most of those are next to 0.
const place = fc.nat(999_999).map((millionths) => millionths / 1e6);
const flip = fc.record({ kind: fc.constant('flip' as const), at: place, bit: fc.nat(7) });
const damage: fc.Arbitrary<Damage> = fc.oneof(
  { arbitrary: flip, weight: 5 },
  fc.record({ kind: fc.constant('cut' as const), at: place }),
  fc.record({ kind: fc.constant('write' as const), at: place, byte: fc.nat(255) }),
  fc.record({ kind: fc.constantFrom('remove' as const, 'repeat' as const), at: place, bytes: fc.nat(80) }),
  fc.record({ kind: fc.constant('splice' as const), at: place, from: place, other: fc.nat(sound.length - 1), bytes: fc.nat(200) }),
  fc.record({ kind: fc.constant('marker' as const), at: place, marker: fc.integer({ min: 0xc0, max: 0xff }) }),
);

function damaged(bytes: Buffer, change: Damage): Buffer {
  const at = Math.floor(change.at * bytes.length);
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (change.kind) {
    case 'cut':
      return before;
    case 'flip':
      return Buffer.concat([before, Buffer.of((after[0] ?? 0) ^ (1 << change.bit)), after.subarray(1)]);
    case 'write':
      return Buffer.concat([before, Buffer.of(change.byte), after.subarray(1)]);
    case 'remove':
      return Buffer.concat([before, after.subarray(change.bytes)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, change.bytes), after]);
    case 'splice': {
      const other = sound[change.other] ?? bytes;
      const from = Math.floor(change.from * other.length);
      return Buffer.concat([before, other.subarray(from, from + change.bytes), after]);
    }
    case 'marker':
      return Buffer.concat([before, Buffer.of(0xff, change.marker), after]);
  }
}

/** Of which most bits are of amplitudes: a file with another one is still sound. */
let photographs: readonly Buffer[];
beforeAll(async () => {
  const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
  const image = sharp({ create: { width: 50, height: 35, channels: 3, background: '#777', noise } }).blur(0.7);
  const encodings = ['4:2:0', '4:4:4'].flatMap((chromaSubsampling) => [80, 97].map((quality) => ({ chromaSubsampling, quality })));
  photographs = await Promise.all(encodings.map((options) => image.clone().jpeg(options).toBuffer()));
});

/** Whether an image is sound when it is decoded smaller, as far as its pixels fit the room that is theirs. */
async function drafts(bytes: Uint8Array, header: JpegHeader, times: 2 | 4, mostMemory: number): Promise<boolean> {
  const decoder = await JpegDecoder.load();
  const { width, height } = draftSize(header, times);
  const sound = decoder.decode(bytes, header, new Uint8Array(3 * width * height), { times });
  expect(decoder.memoryBytes).toBeLessThan(mostMemory);
  return sound;
}

test(`of ${RUNS} damaged files none is read in another way than sharp reads it`, async () => {
  let [own, left] = [0, 0];
  const look = async (file: number, changes: readonly Damage[]): Promise<void> => {
    const bytes = changes.reduce(damaged, (file < sound.length ? sound[file] : photographs[file % photographs.length]) ?? Buffer.alloc(0));
    const header = jpegHeader(bytes);
    const { width = 0, height = 0 } = header ?? {};
    if (width * height > MOST_PIXELS) return;
    const mostMemory = bytes.length + COLUMN_BYTES * (width + 64) + 3 * 65_536;
    const drafted =
      header === undefined ? [] : await Promise.all(([2, 4] as const).map((times) => drafts(bytes, header, times, mostMemory)));
    const decoder = await JpegDecoder.load();
    const pixels = new Uint8Array(3 * width * height);
    const read = header !== undefined && decoder.decode(bytes, header, pixels);
    expect(decoder.memoryBytes).toBeLessThan(mostMemory);
    expect(drafted.every((sound) => sound === read)).toBe(true);
    if (!read) {
      left++;
      return;
    }
    own++;
    const expected = await sharpPixels(bytes);
    if (!expected.equals(pixels)) throw new Error(`pixels differ: ${bytes.toString('base64')}`);
  };
  const property = fc.asyncProperty(
    fc.nat(2 * sound.length),
    fc.oneof(fc.tuple(damage), fc.array(damage, { minLength: 2, maxLength: 3 })),
    look,
  );
  await fc.assert(property, { numRuns: RUNS, seed: Number(process.env['JPEG_FUZZ_SEED'] ?? 1) });
  expect(own).toBeGreaterThan(RUNS / 50);
  expect(left).toBeGreaterThan(RUNS / 50);
}, 3_600_000);
