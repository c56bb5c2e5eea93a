/** JPEGs at 1/2 and 1/4 as libjpeg decodes them, bit for bit: `half` and `quarter` of fixtures/golden/jpeg.json are from djpeg. */
import { readFileSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { beforeAll, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { JpegDecoder } from '#dist/pipeline/jpeg/decoder.js';
import { draftSize, type DraftTimes, draftWindow, type Window } from '#dist/pipeline/jpeg/draft.js';
import { jpegHeader, type JpegHeader } from '#dist/pipeline/jpeg/header.js';

interface Case {
  readonly name: string;
  readonly ours: boolean;
  readonly file: string;
  readonly half: number;
  readonly quarter: number;
}

const { cases } = JSON.parse(readFileSync(new URL('../../../fixtures/golden/jpeg.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Case[];
};
const OWN = cases.filter(({ ours }) => ours);

let decoder: JpegDecoder;
beforeAll(async () => {
  decoder = await JpegDecoder.load();
});

function opened({ file }: Case): { readonly bytes: Buffer; readonly header: JpegHeader } {
  const bytes = Buffer.from(file, 'base64');
  const header = jpegHeader(bytes);
  if (!header) throw new Error('no header');
  return { bytes, header };
}

function draft(bytes: Uint8Array, header: JpegHeader, times: DraftTimes, windows?: readonly Window[]): Buffer | undefined {
  const { width, height } = draftSize(header, times);
  const pixels = Buffer.alloc(3 * width * height);
  return decoder.decode(bytes, header, pixels, { times, windows }) ? pixels : undefined;
}

test.each(OWN)('$name at 1/2 and at 1/4 has the pixels of djpeg', (one) => {
  const { bytes, header } = opened(one);
  const made = ([2, 4] as const).map((times) => crc32(draft(bytes, header, times) ?? ''));
  expect(made).toEqual([one.half, one.quarter]);
});

test.each(OWN.filter(({ name }) => /^(100x33|17x33|45x37)/.test(name)))('a draft of $name has the windows that are wanted', (one) => {
  const { bytes, header } = opened(one);
  const side = (length: number) =>
    fc.tuple(fc.nat(length - 1), fc.nat(length - 1)).map((ends) => ends.toSorted((a, b) => a - b) as [number, number]);
  const window = fc
    .tuple(side(header.width), side(header.height))
    .map(([[left, right], [top, bottom]]) => ({ left, top, width: right - left + 1, height: bottom - top + 1 }));
  const look = (times: 2 | 4, wanted: readonly Window[]): void => {
    const windows = wanted.map((each) => draftWindow(each, times));
    const { width } = draftSize(header, times);
    const [all, part] = [draft(bytes, header, times), draft(bytes, header, times, windows)];
    for (const { left, top, width: columns, height: rows } of windows) {
      for (let y = top; y < top + rows; y++) {
        const [from, to] = [3 * (y * width + left), 3 * (y * width + left + columns)];
        expect(part?.subarray(from, to).equals(all?.subarray(from, to) ?? Buffer.alloc(0))).toBe(true);
      }
    }
  };
  fc.assert(fc.property(fc.constantFrom(2, 4), fc.array(window, { minLength: 1, maxLength: 3 }), look));
});
