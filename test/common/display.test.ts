import { PassThrough } from 'node:stream';
import { expect, test } from '@jest/globals';
import { Display } from '#dist/common/display.js';

/** A display away from a terminal, and its clock. */
function plain() {
  const stream = Object.assign(new PassThrough(), { isTTY: false });
  const clock = { ms: 0 };
  const display = new Display(stream, {}, () => clock.ms);
  return {
    display,
    clock,
    lines: () =>
      String(stream.read() ?? '')
        .split('\n')
        .slice(0, -1),
  };
}

test('plain lines are 5 seconds apart', () => {
  const { display, clock, lines } = plain();
  for (clock.ms = 0; clock.ms <= 16_000; clock.ms += 1000) display.show(`at ${clock.ms / 1000}`, 0);
  display.end();
  expect(lines()).toEqual(['at 0', 'at 5', 'at 10', 'at 15']);
});

test('of work that may be short, nothing is told in its first seconds', () => {
  const { display, clock, lines } = plain();
  clock.ms = 1000;
  display.begin();
  for (; clock.ms <= 12_000; clock.ms += 1000) display.show(`at ${clock.ms / 1000}`, 0);
  display.end();
  expect(lines()).toEqual(['at 6', 'at 11']);
});

test('the last state of work that ends early is told, but not twice', () => {
  const { display, clock, lines } = plain();
  display.show('one', 0);
  clock.ms = 1000;
  display.show('two', 0.5);
  display.end(true);
  display.show('three', 0);
  display.end(true);
  expect(lines()).toEqual(['one', 'two', 'three']);
});

test('quiet shows warnings and errors alone', () => {
  const { display, lines } = plain();
  display.quiet = true;
  display.show('state', 0);
  display.print('note');
  display.warn('many are bad');
  display.error('detco: failed');
  display.end(true);
  expect(lines()).toEqual(['warning: many are bad', 'detco: failed']);
});
