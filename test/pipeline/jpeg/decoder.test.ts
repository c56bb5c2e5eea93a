/** Pixels as sharp and Pillow have them, bit for bit. */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import sharp, { type JpegOptions, type Raw } from 'sharp';
import { Random } from '#dist/common/random.js';
import { JpegDecoder } from '#dist/pipeline/jpeg/decoder.js';
import type { Window } from '#dist/pipeline/jpeg/draft.js';
import { jpegHeader } from '#dist/pipeline/jpeg/header.js';
import { readShard } from '#dist/pipeline/shard/read.js';
import { sharpPixels } from './sharp-pixels.js';

interface Golden {
  readonly cases: readonly { readonly name: string; readonly ours: boolean; readonly file: string; readonly crc: number }[];
}

const golden = JSON.parse(readFileSync(new URL('../../../fixtures/golden/jpeg.json', import.meta.url), 'utf8')) as Golden;
const OWN = golden.cases.filter(({ ours }) => ours);
const OTHER = golden.cases.filter(({ ours }) => !ours);

let decoder: JpegDecoder;
beforeAll(async () => {
  decoder = await JpegDecoder.load();
});

function decode(bytes: Uint8Array): Buffer | undefined {
  const header = jpegHeader(bytes);
  if (!header) return undefined;
  const pixels = Buffer.alloc(3 * header.width * header.height);
  return decoder.decode(bytes, header, pixels) ? pixels : undefined;
}

/** Smooth, with edges and noise: every coefficient, and samples that clip. */
function picture(width: number, height: number): { readonly data: Buffer; readonly info: Raw } {
  const random = new Random(18, width, height);
  const data = Buffer.alloc(3 * width * height);
  for (let i = 0; i < data.length; i++) {
    const [x, y, channel] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width), i % 3];
    const ground = (x >> 2) + (y >> 3) === 5 ? 255 * (channel & 1) : ([2 * x, 255 - 3 * y, 4 * x + y][channel] ?? 0);
    data[i] = Math.max(0, Math.min(255, ground + random.between(-40, 40)));
  }
  return { data, info: { width, height, channels: 3 } };
}

describe('JpegDecoder', () => {
  test.each(OWN)('reads $name as sharp and Pillow do', async ({ file, crc }) => {
    const bytes = Buffer.from(file, 'base64');
    const own = decode(bytes);
    expect(own && crc32(own)).toBe(crc);
    expect(own?.equals(await sharpPixels(bytes))).toBe(true);
  });

  test.each(OTHER)('leaves $name to sharp', ({ file }) => {
    expect(decode(Buffer.from(file, 'base64'))).toBeUndefined();
  });

  test.each([
    [1, 1],
    [1, 17],
    [3, 5],
    [7, 9],
    [8, 8],
    [15, 16],
    [16, 16],
    [17, 33],
    [33, 100],
    [500, 375],
  ])('reads what sharp writes of %i x %i pixels', async (width, height) => {
    const { data, info } = picture(width, height);
    const encodings: JpegOptions[] = ['4:4:4', '4:2:0'].flatMap((chromaSubsampling) =>
      [5, 50, 90, 100].flatMap((quality) =>
        [false, true].map((optimiseCoding) => ({
          chromaSubsampling,
          quality,
          optimiseCoding,
          trellisQuantisation: optimiseCoding && width < 50,
        })),
      ),
    );
    for (const options of encodings) {
      for (const grey of [false, true]) {
        const bytes = await sharp(data, { raw: info }).greyscale(grey).jpeg(options).toBuffer();
        const equal = decode(bytes)?.equals(await sharpPixels(bytes));
        expect({ ...options, grey, equal }).toEqual({ ...options, grey, equal: true });
      }
    }
  });

  test.each(['train-000', 'train-003', 'val-000'])('reads every image of fixtures/shards/%s.tar as sharp does', async (name) => {
    let images = 0;
    for await (const { image } of readShard(new URL(`../../../fixtures/shards/${name}.tar`, import.meta.url).pathname)) {
      if (!decode(image)?.equals(await sharpPixels(image))) throw new Error(`image ${images} differs`);
      images++;
    }
    expect(images).toBeGreaterThan(300);
  });

  test.each(OWN.filter(({ name }) => /^(100x33|17x33|45x37)/.test(name)))('makes the windows of $name that are wanted', ({ file }) => {
    const bytes = Buffer.from(file, 'base64');
    const header = jpegHeader(bytes);
    if (!header) throw new Error('no header');
    const { width, height } = header;
    const all = decode(bytes) ?? Buffer.alloc(0);
    const side = (length: number) =>
      fc.tuple(fc.nat(length - 1), fc.nat(length - 1)).map((ends) => ends.toSorted((a, b) => a - b) as [number, number]);
    const window = fc
      .tuple(side(width), side(height))
      .map(([[left, right], [top, bottom]]) => ({ left, top, width: right - left + 1, height: bottom - top + 1 }));
    const look = (windows: readonly Window[]): void => {
      const pixels = Buffer.alloc(3 * width * height);
      expect(decoder.decode(bytes, header, pixels, { windows })).toBe(true);
      for (const { left, top, width: columns, height: rows } of windows) {
        for (let y = top; y < top + rows; y++) {
          const [from, to] = [3 * (y * width + left), 3 * (y * width + left + columns)];
          expect(pixels.subarray(from, to).equals(all.subarray(from, to))).toBe(true);
        }
      }
    };
    fc.assert(fc.property(fc.array(window, { maxLength: 3 }), look));
  });

  test('makes nothing where no window is, and still finds what is wrong there', async () => {
    const { data, info } = picture(160, 160);
    const bytes = await sharp(data, { raw: info }).jpeg().toBuffer();
    const header = jpegHeader(bytes);
    if (!header) throw new Error('no header');
    const pixels = Buffer.alloc(3 * 160 * 160);
    const windows = [{ left: 100, top: 70, width: 20, height: 20 }];
    expect(decoder.decode(bytes, header, pixels, { windows })).toBe(true);
    expect(pixels.subarray(0, 3 * 160 * 48).every((byte) => byte === 0)).toBe(true);
    expect(pixels.subarray(3 * 160 * 112).every((byte) => byte === 0)).toBe(true);
    expect(decoder.decode(bytes.subarray(0, -2), header, pixels, { windows })).toBe(false);
  });

  test('does not mind what follows the image', async () => {
    const { data, info } = picture(40, 30);
    const bytes = await sharp(data, { raw: info }).jpeg().toBuffer();
    const more = Buffer.concat([bytes, Buffer.from('\xff\xd8\xff\xda and more', 'latin1')]);
    expect(decode(more)?.equals(await sharpPixels(bytes))).toBe(true);
  });

  test.each([
    ['no marker at the end', (bytes: Buffer) => bytes.subarray(0, -2)],
    ['a byte too many before it', (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -2), Buffer.of(0, 0xff, 0xd9)])],
    ['half of its bytes', (bytes: Buffer) => bytes.subarray(0, bytes.length >> 1)],
    ['another frame', (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('\xff\xc0', '\xff\xc3'), 'latin1')],
    ['12 bits', (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('\xff\xc0\0\x11\x08', '\xff\xc0\0\x11\x0c'), 'latin1')],
    [
      'parts of a gain map',
      (bytes: Buffer) => Buffer.from(bytes.toString('latin1').replace('\xff\xdb', '\xff\xe2\0\x06MPF\0\xff\xdb'), 'latin1'),
    ],
  ])('leaves an image with %s to sharp', async (_what, change) => {
    const { data, info } = picture(40, 30);
    const bytes = await sharp(data, { raw: info }).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer();
    expect(decode(bytes)).toBeDefined();
    expect(decode(change(bytes))).toBeUndefined();
  });

  test.each([0x01, 0x10, 0x51])('leaves a grey image with the sampling factors %i, which sharp refuses, to sharp', async (factors) => {
    const bytes = Buffer.from(golden.cases.find(({ name }) => name.endsWith('grayscale'))?.file ?? '', 'base64');
    bytes[bytes.indexOf('\xff\xc0', 0, 'latin1') + 11] = factors;
    expect(decode(bytes)).toBeUndefined();
    await expect(sharpPixels(bytes)).rejects.toThrow('Bogus sampling factors');
  });

  test('takes colours from JFIF, else from Adobe, else from the names of the components, as sharp does', async () => {
    const { data, info } = picture(24, 24);
    const jpeg = await sharp(data, { raw: info }).jpeg({ chromaSubsampling: '4:4:4' }).toBuffer();
    const tail = jpeg.toString('latin1', 2);
    const jfif = '\xff\xe0\0\x10JFIF\0\x01\x01\0\0\x01\0\x01\0\0';
    const adobe = (transform: number): string => `\xff\xee\0\x0eAdobe\0\x64\0\0\0\0${String.fromCodePoint(transform)}`;
    expect(tail).not.toMatch(/JFIF|Adobe/);
    const named = Buffer.from(jpeg);
    const [frame, scan] = ['\xff\xc0', '\xff\xda'].map((marker) => named.indexOf(marker, 0, 'latin1')) as [number, number];
    for (const [i, name] of [...Buffer.from('RGB')].entries()) {
      named[frame + 10 + 3 * i] = name;
      named[scan + 5 + 2 * i] = name;
    }
    const files = {
      jfif: jfif + tail,
      'jfif and adobe': jfif + adobe(0) + tail,
      'adobe, none': adobe(0) + tail,
      'adobe, ycc': adobe(1) + tail,
      neither: tail,
      named: named.toString('latin1', 2),
    };
    const seen = new Map<string, string>();
    for (const [name, file] of Object.entries(files)) {
      const bytes = Buffer.from(`\xff\xd8${file}`, 'latin1');
      const own = decode(bytes);
      expect({ name, equal: own?.equals(await sharpPixels(bytes)) }).toEqual({ name, equal: true });
      seen.set(name, String(crc32(own ?? '')));
    }
    expect(seen.get('adobe, none')).toBe(seen.get('named'));
    expect(seen.get('neither')).toBe(seen.get('jfif'));
    expect(seen.get('named')).not.toBe(seen.get('jfif'));
  });
});
