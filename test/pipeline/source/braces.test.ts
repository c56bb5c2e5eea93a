import { execFileSync } from 'node:child_process';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { expandBraces } from '#dist/pipeline/source/braces.js';

describe('expandBraces', () => {
  const rows: [pattern: string, expected: string[]][] = [
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
    ['{000..010..2}', ['000', '002', '004', '006', '008', '010']],
    ['{0..10..3}', ['0', '3', '6', '9']],
    ['{10..0..3}', ['10', '7', '4', '1']],
    ['{0..10..-3}', ['0', '3', '6', '9']],
    ['{10..0..-3}', ['10', '7', '4', '1']],
    ['{-05..5..5}', ['-05', '000', '005']],
    ['{00..-5..2}', ['00', '-2', '-4']],
    ['{1..3..0}', ['1', '2', '3']],
    ['{+1..5..+2}', ['1', '3', '5']],
    ['{1..9..100}', ['1']],
    ['{-0..3..02}', ['0', '2']],
    ['{a..e..2}', ['a', 'c', 'e']],
    ['{e..a..2}', ['e', 'c', 'a']],
    ['{e..a..-2}', ['e', 'c', 'a']],
    ['{1..3..2}{a..c..2}', ['1a', '1c', '3a', '3c']],
    ['{1..3..}', ['{1..3..}']],
    ['{1..10..1.5}', ['{1..10..1.5}']],
    ['{a..3}', ['{a..3}']],
  ];

  test.each(rows)('%s', (pattern, expected) => {
    expect(expandBraces(pattern)).toEqual(expected);
  });

  const bash = ((): string | undefined => {
    try {
      return execFileSync('bash', ['--version'], { encoding: 'utf8' }).match(/version (\S+)/)?.[1];
    } catch {
      return undefined;
    }
  })();

  // macOS has bash 3.2, which knows neither steps nor padding.
  (bash !== undefined && Number.parseInt(bash, 10) >= 4 ? test : test.skip)('agrees with bash on every one of them', () => {
    const printed = (pattern: string): string[] =>
      execFileSync('bash', ['-c', `printf '%s\\n' ${pattern}`], { encoding: 'utf8' })
        .trimEnd()
        .split('\n');
    expect(rows.map(([pattern]) => [pattern, printed(pattern)])).toEqual(rows);
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
    expect(() => expandBraces('{0..999999999..2}')).toThrow(/"\{0\.\.999999999\.\.2\}" stands for more than 1000000 shards/);
    expect(expandBraces('{0..999999999..500000000}')).toEqual(['0', '500000000']);
    expect(() => expandBraces('{0..9999}{0..9999}')).toThrow(/more than 1000000 shards/);
  });
});
