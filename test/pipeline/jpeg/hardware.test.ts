/** Which JPEGs the hardware of GPUs takes, by header: of cjpeg, by the options that fixtures/golden/jpeg.py gives it, of sharp, and changed. */
import { readFileSync } from 'node:fs';
import { expect, test } from '@jest/globals';
import sharp from 'sharp';
import { hardwareVerdict } from '#dist/pipeline/jpeg/hardware.js';
import { jpegHeader } from '#dist/pipeline/jpeg/header.js';

interface Case {
  readonly name: string;
  readonly file: string;
}

const { cases } = JSON.parse(readFileSync(new URL('../../../fixtures/golden/jpeg.json', import.meta.url), 'utf8')) as {
  readonly cases: readonly Case[];
};

/** The sampling, or why it is refused. */
function verdict(bytes: Uint8Array): string {
  const found = hardwareVerdict(bytes);
  return found.takes ? found.sampling : found.refusal;
}

const BY_NAME: readonly (readonly [RegExp, string])[] = [
  [/progressive/, 'progressive'],
  [/arithmetic/, 'arithmetic-coded'],
  [/a scan for each/, 'of several scans'],
  [/RGB/, 'RGB'],
  [/quality 1$/, 'extended sequential'],
  [/grayscale/, 'grey'],
  [/sampling (4x1|1x4|2x4|2x2,1x2|1x1,2x2)/, 'of another chroma sampling'],
  [/sampling 1x1$|restart at each row|baseline/, '4:4:4'],
  [/sampling 2x1$|third MCU/, '4:2:2'],
  [/sampling 1x2$/, '4:4:0'],
  [/sampling 2x2$|restart at each MCU|quality 100/, '4:2:0'],
];

test.each(cases)('judges $name of cjpeg by what it is', ({ name, file }) => {
  const expected = BY_NAME.find(([pattern]) => pattern.test(name));
  expect(verdict(Buffer.from(file, 'base64'))).toBe(expected?.[1]);
});

test.each([
  ['a-plain.jpg', '4:2:0'],
  ['b-gray.jpg', 'grey'],
  ['c-cmyk.jpg', 'of four components'],
  ['d-progressive.jpg', 'progressive'],
  ['e-exif-rotated.jpg', '4:2:0'],
  ['f-png.JPEG', 'not JPEG'],
  ['i-empty.jpg', 'not JPEG'],
  ['j-text.jpg', 'not JPEG'],
])('judges fixtures/odd/files/%s as %s', (name, expected) => {
  expect(verdict(readFileSync(new URL(`../../../fixtures/odd/files/${name}`, import.meta.url)))).toBe(expected);
});

const picture = () => sharp({ create: { width: 24, height: 16, channels: 3, background: '#369' } });

test('judges what sharp writes', async () => {
  expect(verdict(await picture().jpeg({ chromaSubsampling: '4:4:4' }).toBuffer())).toBe('4:4:4');
  expect(verdict(await picture().jpeg().toBuffer())).toBe('4:2:0');
  expect(verdict(await picture().jpeg({ progressive: true }).toBuffer())).toBe('progressive');
  expect(verdict(await picture().toColourspace('cmyk').jpeg().toBuffer())).toBe('of four components');
  expect(verdict(await picture().png().toBuffer())).toBe('not JPEG');
});

test.each([
  [0xc3, 'lossless'],
  [0xc5, 'hierarchical'],
  [0xc7, 'hierarchical'],
  [0xc9, 'arithmetic-coded'],
  [0xcf, 'arithmetic-coded'],
])('refuses the process of marker %i', async (marker, expected) => {
  const bytes = await picture().jpeg().toBuffer();
  bytes[bytes.indexOf(Buffer.of(0xff, 0xc0)) + 1] = marker;
  expect(verdict(bytes)).toBe(expected);
});

test('refuses 12 bits and a height that follows the scan', async () => {
  const bytes = await picture().jpeg().toBuffer();
  const frame = bytes.indexOf(Buffer.of(0xff, 0xc0));
  const deep = Buffer.from(bytes);
  deep[frame + 4] = 12;
  expect(verdict(deep)).toBe('with an odd header');
  const open = Buffer.from(bytes);
  open.writeUInt16BE(0, frame + 5);
  expect(verdict(open)).toBe('with an odd header');
});

test('refuses a file that ends anywhere before its first code', async () => {
  const sound = await picture().jpeg().toBuffer();
  const scan = jpegHeader(sound)?.scan ?? 0;
  const cut = Array.from({ length: scan }, (_, length) => hardwareVerdict(sound.subarray(0, length)).takes);
  expect(cut.length).toBeGreaterThan(100);
  expect(cut).not.toContain(true);
  expect(hardwareVerdict(sound.subarray(0, scan))).toMatchObject({ takes: true, header: { width: 24, height: 16 } });
});
