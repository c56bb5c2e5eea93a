/** Text of others is shown, and never obeyed by a terminal. */
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { printable, printableJson, printableLines } from '#dist/common/printable.js';
import { quoted } from '#dist/common/quoted.js';

describe('printable', () => {
  test.each([
    ['an escape sequence', 'a\u001b[2Jb', 'a\\u001b[2Jb'],
    ['the one-byte introducer of such', 'a\u009b2Jb', 'a\\u009b2Jb'],
    ['DEL and backspace', 'a\u007f\bb', 'a\\u007f\\u0008b'],
    ['line ends', 'a\nb\r\u2028c\u0085', 'a\\u000ab\\u000d\\u2028c\\u0085'],
    ['marks that reverse what follows', '\u202egpj.\u2066x\u200f', '\\u202egpj.\\u2066x\\u200f'],
  ])('shows %s', (_what, text, shown) => expect(printable(text)).toBe(shown));

  test.each(['train/cat 1.jpg', 'Zürich', '犬', '🐈‍⬛', 'עברית', 'back\\slash'])('leaves %s as it is', (text) => {
    expect(printable(text)).toBe(text);
    expect(quoted(text)).toBe(JSON.stringify(text));
  });

  test('keeps the lines of what has several', () => {
    expect(printableLines('one\ntw\u001bo')).toBe('one\ntw\\u001bo');
  });

  test('of JSON reads back as it was, on one line of what a terminal shows', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = printableJson(value);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
        expect(text).not.toMatch(/\p{Cc}|[\u200e\u200f\u2028-\u202e\u2066-\u2069]/u);
      }),
    );
    expect(JSON.parse(printableJson(['\\\u009b', '\u202e']))).toEqual(['\\\u009b', '\u202e']);
  });
});
