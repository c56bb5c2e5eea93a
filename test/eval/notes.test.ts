import { describe, expect, test } from '@jest/globals';
import { Guesses } from '#dist/eval/classification.js';
import { topFiveNotes, unlabelledNotes, unseenNotes } from '#dist/eval/notes.js';

/** Each image with its classes, best first. */
function guessed(...rows: readonly (readonly number[])[]): Guesses {
  const guesses = new Guesses(rows.length);
  for (const [image, classes] of rows.entries()) guesses.set(image, classes);
  return guesses;
}

describe('of top-5 an evaluation says', () => {
  const five = guessed([0, 1, 2, 3, 4], [5, 4, 3, 2, 1]);

  test('nothing where each image has five guesses', () => {
    expect(topFiveNotes({ res4: five, res5: five }, 24)).toEqual([]);
    expect(topFiveNotes({ res5: five }, 24, 5)).toEqual([]);
  });

  test('that it is left out where there are no more classes than that', () => {
    expect(topFiveNotes({ res5: five }, 5)).toEqual(['top-5 is left out: of 5 classes it would always be right']);
  });

  test('of how many neighbours it is where fewer vote', () => {
    expect(topFiveNotes({ res5: guessed([0, 1, 2], [3]) }, 24, 3)).toEqual([
      'top-5 is of the classes of 3 neighbours: of 3 guesses at most',
    ]);
  });

  test('for how many images the neighbours have fewer classes', () => {
    expect(topFiveNotes({ res4: five, res5: guessed([0, 1, 2, 3, 4], [7, 0], [7]) }, 24, 9)).toEqual([
      'res5: the neighbours of 2 of 3 images are of fewer than five classes: top-5 has those alone',
    ]);
  });
});

test('images without a label are counted', () => {
  expect(unlabelledNotes(['a.tar', 'b.tar'], 0)).toEqual([]);
  expect(unlabelledNotes(['a.tar', 'b.tar'], 12)).toEqual([
    'left out of a.tar, b.tar: 12 images without a label (a number below 0 is none)',
  ]);
});

test('validation images of classes that were not trained on are counted, and their classes named', () => {
  expect(unseenNotes(new Set([0, 1, 2]), [0, 1, 2, 1])).toEqual([]);
  expect(unseenNotes(new Set([0, 1]), [9, 0, 3, 9])).toEqual([
    '3 of 4 validation images are of 2 classes that no training image is of (3, 9): they count as wrong; check that both sets number their classes alike',
  ]);
});
