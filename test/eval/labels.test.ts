import { expect, test } from '@jest/globals';
import { classSet, shuffled } from '#dist/eval/labels.js';

const read = (text: string) =>
  classSet('classes.json')({ shard: 'a.tar', index: 7, key: '7', fields: { 'classes.json': new TextEncoder().encode(text) } });

test('sets of classes are a list, or an object with what is difficult', () => {
  expect(read('[3, 7]')).toEqual({ present: [3, 7], difficult: [] });
  expect(read('[]')).toEqual({ present: [], difficult: [] });
  expect(read('{"classes": [3], "difficult": [12]}')).toEqual({ present: [3], difficult: [12] });
  expect(classSet('classes.json')({ shard: 'a.tar', index: 7, key: '7' })).toBeUndefined();
});

test.each(['"cat"', '3', 'null', '{}', '{"classes": 3}', '[1.5]', '[-1]', '["3"]', '[1e9]', '{"classes": [1], "difficult": "2"}', '[1'])(
  'refuses %s, naming the sample',
  (text) => {
    expect(() => read(text)).toThrow('"7.classes.json" of a.tar holds');
  },
);

test('shuffled labels are the same labels in an order of the seed', () => {
  const labels = Array.from({ length: 50 }, (_, at) => at % 7);
  const one = shuffled(labels, 1, 'train');
  expect(one).not.toEqual(labels);
  expect(one.toSorted()).toEqual(labels.toSorted());
  expect(shuffled(labels, 1, 'train')).toEqual(one);
  expect(shuffled(labels, 1, 'val')).not.toEqual(one);
});
