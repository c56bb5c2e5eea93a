import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { expandBraces } from '#dist/pipeline/source/braces.js';

describe('expandBraces', () => {
  // Each row is what `bash -c 'echo PATTERN'` prints, but for the last two, where bash prints nothing shorter.
  test.each([
    ['plain.tar', ['plain.tar']],
    ['s-{0..3}', ['s-0', 's-1', 's-2', 's-3']],
    ['s-{008..011}.tar', ['s-008.tar', 's-009.tar', 's-010.tar', 's-011.tar']],
    ['{3..1}', ['3', '2', '1']],
    ['{-1..1}', ['-1', '0', '1']],
    ['{-01..1}', ['-01', '000', '001']],
    ['{1..02}', ['01', '02']],
    ['{a,b}{1,2}', ['a1', 'a2', 'b1', 'b2']],
    ['{train-{0..1},val}.tar', ['train-0.tar', 'train-1.tar', 'val.tar']],
    ['{a,}x', ['ax', 'x']],
    ['{a..c}', ['a', 'b', 'c']],
    ['{one}', ['{one}']],
    ['{}', ['{}']],
    ['{{a,b}}', ['{a}', '{b}']],
    ['a}b', ['a}b']],
  ])('%s', (pattern, expected) => {
    expect(expandBraces(pattern)).toEqual(expected);
  });

  test('keeps padding and counts to the end, whatever the range', () => {
    fc.assert(
      fc.property(fc.nat(500), fc.nat(500), fc.integer({ min: 4, max: 8 }), (first, last, width) => {
        const pad = (n: number): string => String(n).padStart(width, '0');
        const all = expandBraces(`x{${pad(first)}..${pad(last)}}`);
        expect(all).toHaveLength(Math.abs(last - first) + 1);
        expect([all[0], all.at(-1)]).toEqual([`x${pad(first)}`, `x${pad(last)}`]);
        expect(new Set(all.map((name) => name.length))).toEqual(new Set([width + 1]));
      }),
    );
  });

  test('quotes a brace that is not closed, and a range without end', () => {
    expect(() => expandBraces('s-{000..146.tar')).toThrow(/"s-\{000\.\.146\.tar" opens a brace at character 3 and never closes it/);
    expect(() => expandBraces('{0..999999999}')).toThrow(/more than 1000000 shards/);
    expect(() => expandBraces('{0..9999}{0..9999}')).toThrow(/more than 1000000 shards/);
  });
});
