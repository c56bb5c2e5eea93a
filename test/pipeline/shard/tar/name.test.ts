import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { decodeName } from '#dist/pipeline/shard/tar/name.js';

/** The bytes that a text stands for: the inverse of `decodeName`. */
function encode(text: string): Buffer {
  const parts = text.split(/\\x([0-9A-F]{2})/);
  return Buffer.concat(parts.map((part, i) => (i % 2 === 1 ? Buffer.from([Number.parseInt(part, 16)]) : Buffer.from(part))));
}

describe('decodeName', () => {
  test('leaves UTF-8 as it is', () => {
    for (const name of ['a.jpg', 'café.jpg', '図.png', '🐱.webp', 'back\\slash.jpg', '']) expect(decodeName(Buffer.from(name))).toBe(name);
  });

  test('shows a byte that is not UTF-8, and keeps it apart from a name that reads like it', () => {
    expect(decodeName(Buffer.from('caf\xe9.jpg', 'latin1'))).toBe('caf\\xE9.jpg');
    expect(decodeName(Buffer.from('é\xe9\xa0', 'latin1'))).toBe('\\xE9\\xE9\\xA0');
    expect(decodeName(Buffer.from('caf\\xE9.jpg'))).toBe('caf\\x5CxE9.jpg');
  });

  test('gives different texts to different bytes', () => {
    const bytes = fc.array(fc.constantFrom(0x5c, 0x78, 0x35, 0x43, 0x45, 0x39, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xff, 0x41), {
      maxLength: 12,
    });
    fc.assert(fc.property(bytes, (name) => expect(encode(decodeName(Buffer.from(name)))).toEqual(Buffer.from(name))));
  });
});
