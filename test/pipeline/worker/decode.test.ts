/** Pixels as Pillow's `Image.open(...).convert('RGB')` gives them, for every mode (fixtures/golden/decode.json, made by decode.py there). */
import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from '@jest/globals';
import sharp from 'sharp';
import { decodeImage } from '#dist/pipeline/worker/decode.js';
import { DECODERS } from '#dist/pipeline/worker/decoders.js';

interface Golden {
  readonly width: number;
  readonly height: number;
  readonly cases: readonly { readonly name: string; readonly mode: string; readonly file: string; readonly rgb: string }[];
}

const golden = JSON.parse(readFileSync(new URL('../../../fixtures/golden/decode.json', import.meta.url), 'utf8')) as Golden;
const { width, height } = golden;
const ODD = fileURLToPath(new URL('../../../fixtures/odd/files', import.meta.url));
const SIXTEEN_BIT_GRAY = 'I;16';

describe('decodeImage', () => {
  test.each(golden.cases.filter(({ mode }) => mode !== SIXTEEN_BIT_GRAY))('gives the bytes of Pillow for $name', async ({ file, rgb }) => {
    const image = await decodeImage(Buffer.from(file, 'base64'));
    expect([image.width, image.height]).toEqual([width, height]);
    expect(Buffer.from(image.data).equals(Buffer.from(rgb, 'base64'))).toBe(true);
  });

  test.each(golden.cases)('gives the same for $name whichever decodes baseline JPEGs', async ({ file }) => {
    const bytes = Buffer.from(file, 'base64');
    expect(await decodeImage(bytes, { decoder: 'wasm' })).toEqual(await decodeImage(bytes, { decoder: 'sharp' }));
  });

  test.each(readdirSync(ODD))('ends in the same way for fixtures/odd/files/%s', async (name) => {
    const bytes = await readFile(join(ODD, name));
    // One after the other: libvips has one text for the errors of all threads.
    const [wasm] = await Promise.allSettled([decodeImage(bytes, { decoder: 'wasm' })]);
    const [other] = await Promise.allSettled([decodeImage(bytes, { decoder: 'sharp' })]);
    expect(wasm).toEqual(other);
  });

  test.each(DECODERS)('asks for room before it decodes by %s, and for no more pixels than the limit', async (decoder) => {
    const bytes = await sharp({ create: { width: 40, height: 30, channels: 3, background: '#123456' } })
      .jpeg()
      .toBuffer();
    const asked: number[] = [];
    const room = (needed: number): Promise<void> => Promise.resolve(void asked.push(needed));
    await expect(decodeImage(bytes, { decoder, room, maxPixels: 1199 })).rejects.toThrow('40 x 30 = 1200 pixels, more than maxPixels 1199');
    expect(asked).toEqual([]);
    expect((await decodeImage(bytes, { decoder, room, maxPixels: 1200 })).data).toHaveLength(3600);
    expect(asked).toEqual([7200]);
    await expect(decodeImage(bytes, { decoder, room: () => Promise.reject(new Error('no room')) })).rejects.toThrow('no room');
  });

  test('decodes a JPEG at half and a quarter, in room for those pixels and its bytes', async () => {
    const bytes = await sharp({ create: { width: 41, height: 30, channels: 3, background: '#123456' } })
      .jpeg()
      .toBuffer();
    const asked: number[] = [];
    const room = (needed: number): Promise<void> => Promise.resolve(void asked.push(needed));
    const half = await decodeImage(bytes, { decoder: 'wasm', room, draft: () => 2 });
    const quarter = await decodeImage(bytes, { decoder: 'wasm', room, draft: () => 4 });
    const original = { width: 41, height: 30 };
    expect(half).toMatchObject({ width: 21, height: 15, original, covers: { width: 42, height: 30 } });
    expect(quarter).toMatchObject({ width: 11, height: 8, original, covers: { width: 44, height: 32 } });
    expect(asked).toEqual([3 * 21 * 15 + bytes.length, 3 * 11 * 8 + bytes.length]);
    expect(await decodeImage(bytes, { draft: () => 2 })).toEqual(await decodeImage(bytes));
  });

  test('leaves what it cannot decode at half to sharp, whole or shrunk as without drafts, with the verdict of sharp', async () => {
    const picture = sharp({ create: { width: 40, height: 30, channels: 3, background: '#123456' } });
    const progressive = await picture.clone().jpeg({ progressive: true }).toBuffer();
    const baseline = await picture.clone().jpeg().toBuffer();
    // Sound for sharp alone.
    const odd = Buffer.concat([baseline.subarray(0, -2), Buffer.of(0, 0xff, 0xd9)]);
    const asked: number[] = [];
    const room = (needed: number): Promise<void> => Promise.resolve(void asked.push(needed));
    for (const bytes of [progressive, odd]) {
      for (const more of [{}, { shrink: () => 3 }]) {
        expect(await decodeImage(bytes, { decoder: 'wasm', draft: () => 2, room, ...more })).toEqual(await decodeImage(bytes, more));
      }
    }
    const draft = 3 * 20 * 15 + odd.length;
    expect(asked).toEqual([14_400, 6 * 13 * 10 + 7200, draft, 7200, draft, 6 * 13 * 10]);
    const cut = decodeImage(baseline.subarray(0, baseline.length >> 1), { decoder: 'wasm', draft: () => 2 });
    await expect(cut).rejects.toThrow(/premature end|VipsJpeg/i);
  });

  test('takes the high byte of 16-bit gray, of which Pillow makes white', async () => {
    const gray = golden.cases.find(({ mode }) => mode === SIXTEEN_BIT_GRAY);
    const levels = Array.from({ length: width * height }, (_, i) => (i % width) * 5000 + Math.floor(i / width));
    const { data } = await decodeImage(Buffer.from(gray?.file ?? '', 'base64'));
    expect([...data]).toEqual(levels.flatMap((level) => [level >> 8, level >> 8, level >> 8]));
    expect([...Buffer.from(gray?.rgb ?? '', 'base64')]).toEqual(levels.flatMap((level) => Array<number>(3).fill(Math.min(level, 255))));
  });

  test('does not decode a CMYK image smaller, which would be by way of a profile', async () => {
    const cmyk = golden.cases.find(({ name }) => name.startsWith('JPEG, CMYK'));
    const image = await decodeImage(Buffer.from(cmyk?.file ?? '', 'base64'), { shrink: () => 3 });
    expect([image.width, image.original]).toEqual([width, undefined]);
  });
});

describe('an image that is too large', () => {
  const MAX = 100;

  test.each([
    ['jpeg', 11, 10],
    ['png', 10, 11],
    ['webp', 101, 1],
  ] as const)('is refused as %s before its pixels are decoded', async (format, columns, rows) => {
    const image = { create: { width: columns, height: rows, channels: 3, background: '#123456' } } as const;
    const bytes = await sharp(image).toFormat(format).toBuffer();
    let asked = 0;
    const room = (): Promise<void> => Promise.resolve(void asked++);
    await expect(decodeImage(bytes, { maxPixels: MAX, room })).rejects.toThrow(
      `the image has ${columns} x ${rows} = ${columns * rows} pixels, more than maxPixels 100; make it smaller, or raise maxPixels (--max-pixels)`,
    );
    expect(asked).toBe(0);
    await decodeImage(bytes, { maxPixels: columns * rows, room });
    expect(asked).toBe(1);
  });

  test('is refused by what its header says, whatever follows', async () => {
    const bytes = await sharp({ create: { width: 8, height: 8, channels: 3, background: '#123456' } })
      .png()
      .toBuffer();
    bytes.writeUInt32BE(16_000, 16);
    bytes.writeUInt32BE(16_000, 20);
    await expect(decodeImage(bytes)).rejects.toThrow('16000 x 16000 = 256000000 pixels, more than maxPixels 67108864');
  });
});
