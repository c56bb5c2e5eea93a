/** What an image is, from its first bytes. */
import { deflateSync } from 'node:zlib';
import { describe, expect, test } from '@jest/globals';
import sharp, { type Sharp } from 'sharp';
import { imageHeader } from '#dist/pipeline/worker/image-header.js';
import { fixtureSamples } from '../../support/images.js';

const picture = (width = 301, height = 200): Sharp => sharp({ create: { width, height, channels: 4, background: '#12345678' } });

describe('a header', () => {
  test('of every fixture has the decoded size', async () => {
    for (const { image } of await fixtureSamples(40)) {
      const { width, height } = await sharp(image).metadata();
      expect(imageHeader(image)).toEqual({ format: 'jpeg', size: { width, height }, cmyk: false, buffered: false });
    }
  });

  const exif = { IFD0: { Copyright: 'x'.repeat(5000) } };
  test.each<[name: string, encode: (image: Sharp) => Sharp, is: object]>([
    ['a JPEG', (image) => image.jpeg(), { format: 'jpeg', cmyk: false, buffered: false }],
    ['a progressive JPEG', (image) => image.jpeg({ progressive: true }), { format: 'jpeg', cmyk: false, buffered: true }],
    ['a CMYK JPEG', (image) => image.toColourspace('cmyk').jpeg(), { format: 'jpeg', cmyk: true, buffered: false }],
    ['a JPEG with metadata before its frame', (image) => image.withExif(exif).jpeg(), { format: 'jpeg', cmyk: false, buffered: false }],
    ['a PNG', (image) => image.png(), { format: 'png', cmyk: false, buffered: false }],
    ['an interlaced PNG', (image) => image.png({ progressive: true }), { format: 'png', cmyk: false, buffered: true }],
    ['a lossy WebP', (image) => image.removeAlpha().webp(), { format: 'webp', cmyk: false, buffered: true }],
    ['a lossless WebP', (image) => image.removeAlpha().webp({ lossless: true }), { format: 'webp', cmyk: false, buffered: true }],
    ['an extended WebP', (image) => image.webp(), { format: 'webp', cmyk: false, buffered: true }],
  ])('of %s tells its format and size', async (_name, encode, is) => {
    expect(imageHeader(await encode(picture()).toBuffer())).toEqual({ ...is, size: { width: 301, height: 200 } });
  });

  test.each(['jpeg', 'png', 'webp'] as const)('of a %s that is cut off has no size made up', async (format) => {
    const bytes = await picture().toFormat(format).toBuffer();
    for (const length of [16, 20, 23]) expect(imageHeader(bytes.subarray(0, length)).size).toBeUndefined();
  });
});

describe('what is no image of a shard is named', () => {
  const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><rect width="8" height="8"/></svg>';
  test.each<[name: string, bytes: () => Uint8Array | Promise<Uint8Array>]>([
    ['SVG', () => Buffer.from(svg)],
    ['SVG', () => Buffer.from(`<?xml version="1.0"?>\n<!-- a drawing -->\n${svg}`)],
    ['GIF', () => picture().gif().toBuffer()],
    ['TIFF', () => picture().tiff().toBuffer()],
    ['AVIF', () => picture(16, 16).avif().toBuffer()],
    ['PDF', () => Buffer.from('%PDF-1.7\n')],
    ['BMP', () => Buffer.from('BM\x8a\0\0\0\0\0\0\0', 'latin1')],
    ['a page of HTML or XML', () => Buffer.from('<!DOCTYPE html><title>404</title>')],
    ['a pointer of Git LFS', () => Buffer.from('version https://git-lfs.github.com/spec/v1\n')],
    ['text', () => Buffer.from('not found\n')],
    ['of an unknown format (it begins with 789c', () => deflateSync('x')],
  ])('as %s', async (name, bytes) => {
    const image = await bytes();
    expect(() => imageHeader(image)).toThrow(`the image is ${name}`);
    expect(() => imageHeader(image)).toThrow('; expected JPEG, PNG or WebP');
  });

  test('as empty', () => {
    expect(() => imageHeader(Buffer.alloc(0))).toThrow('the image is empty (0 bytes)');
  });
});
