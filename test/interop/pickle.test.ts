/** Pickles of Python's own: what is read of them, and what is refused. */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { allowedNames } from '#dist/interop/allowed-names.js';
import { loadBackbone } from '#dist/interop/index.js';
import { readPickle } from '#dist/interop/pickle-reader.js';
import { Global, pickle, type PickleValue } from '#dist/interop/pickle-writer.js';
import { wherePythonHas } from '../support/python.js';

const python = wherePythonHas('numpy');

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-pickle-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function pickled(expression: string, protocol = 2): Promise<string> {
  const path = join(folder, 'value.pkl');
  await python.run('test/interop/peers.py', 'write-pickle', path, String(protocol), expression);
  return path;
}

python.describe(`a pickle of Python's${python.note}`, () => {
  test.each([2, 3, 4, 5])('of protocol %i is read as it was', async (protocol) => {
    const expression =
      "{'ints': [0, 255, 256, 65535, 65536, -1, 2**31, -2**40, 2**70, -2**70], 'floats': (0.5, -1e300, float('inf')), 'none': None, " +
      "'flags': [True, False], 'text': 'ä' * 300, 'bytes': b'\\x00\\xff', 'tuples': [(), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)], " +
      "7: 'seven', 'ordered': OrderedDict(a=1), 'counter': Counter('aab'), 'again': [[1]] * 2}";
    const { value } = readPickle(await readFile(await pickled(expression, protocol)), allowedNames());
    expect(value).toEqual(
      new Map<unknown, unknown>([
        ['ints', [0, 255, 256, 65535, 65536, -1, 2 ** 31, -(2 ** 40), 2n ** 70n, -(2n ** 70n)]],
        ['floats', [0.5, -1e300, Infinity]],
        ['none', null],
        ['flags', [true, false]],
        ['text', 'ä'.repeat(300)],
        ['bytes', Buffer.from([0, 255])],
        ['tuples', [[], [1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]],
        [7, 'seven'],
        ['ordered', new Map([['a', 1]])],
        [
          'counter',
          new Map([
            ['a', 2],
            ['b', 1],
          ]),
        ],
        ['again', [[1], [1]]],
      ]),
    );
  });

  test.each([
    [
      'Calls(print, "hello")',
      /^\S+value\.pkl asks for "(builtins|__builtin__)\.print", .*it was not called, and nothing of the file was run/,
    ],
    ['{"model": {}, "note": Calls(math.sqrt, 4.0)}', /asks for "math\.sqrt"/],
    ['{"model": math.sqrt}', /asks for "math\.sqrt"/],
  ])('%s is refused by the name', async (expression, message) => {
    for (const protocol of [2, 4]) await expect(loadBackbone(await pickled(expression, protocol))).rejects.toThrow(message);
  });

  test('that makes a dict of no pairs is refused', async () => {
    await expect(loadBackbone(await pickled("{'model': Calls(OrderedDict, [1, 2])}"))).rejects.toThrow(
      'holds a dict that is made of no pairs',
    );
  });

  test('without tensors is told by what it holds', async () => {
    const path = await pickled('{"epoch": 3, "best": 0.5}');
    await expect(loadBackbone(path)).rejects.toThrow(
      `${path} holds a dict of ["epoch","best"]: expected a state dict, by itself or under state_dict, classy_state_dict.base_model.model.trunk, ` +
        'teacher, model, model_state_dict',
    );
    await expect(loadBackbone(await pickled('[1, 2]'))).rejects.toThrow('holds no dict: expected a state dict');
  });

  test('of big-endian arrays is refused', async () => {
    const path = await pickled('{"model": {"stem.conv1.weight": np.zeros((4, 3, 7, 7), ">f4")}}');
    await expect(loadBackbone(path)).rejects.toThrow(`${path} holds arrays of big-endian numbers: expected little-endian ones`);
  });

  test('that is cut short anywhere is an error', async () => {
    const whole = await readFile(await pickled("{'model': {'a': np.arange(3.0), 'b': [1, 2, 'three']}}"));
    for (let length = 0; length < whole.length; length++)
      expect(() => readPickle(whole.subarray(0, length), allowedNames())).toThrow(/is not whole|cannot be read/);
  });
});

describe('a pickle of our own', () => {
  const read = (value: PickleValue, protocol: 2 | 3 = 2) => readPickle(Buffer.concat([...pickle(value, protocol)]), allowedNames()).value;

  test('is read as it was written', () => {
    const value = [null, true, false, 0, 255, 256, 65535, 65536, -1, -(2 ** 31), 2 ** 40, 'ä'.repeat(300), [], [1], [1, 2], [1, 2, 3, 4]];
    expect(read([...value, new Map([['key', [1]]])])).toEqual([...value, new Map([['key', [1]]])]);
    expect(read(Buffer.from([0, 255]), 3)).toEqual(Buffer.from([0, 255]));
  });

  test('that calls a name which is not allowed is refused when the name is met, before anything follows', () => {
    const call = { callee: new Global('builtins', 'print'), args: ['hello'] };
    expect(() => read(call)).toThrow('asks for "builtins.print"');
  });
});
