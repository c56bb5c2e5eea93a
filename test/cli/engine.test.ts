/** `detco engine build`: its refusals, and a build that fails in the compiler. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { hasTools } from '../engine/available.js';
import { LIBTORCH_PARTS } from '../engine/libtorch.js';
import { writeTree } from '../support/tree.js';
import { detco } from './detco.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-engine-test-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** What no file compiles with: the product that is here stays as it is. */
function hollow(): Promise<string> {
  const files = { 'build-version': '2.1.0+cpu', 'include/ATen/ATen.h': '#error hollow\n', 'include/torch/library.h': '#error hollow\n' };
  return writeTree(join(folder, 'hollow'), { ...LIBTORCH_PARTS, ...files });
}

const withTools = hasTools('cmake', 'c++') ? test : test.skip;

describe('detco engine build', () => {
  test.each<[string, string[], string]>([
    ['an engine that needs no build', ['wasm'], "detco: unknown command 'wasm'"],
    ['no engine', [], 'Usage: detco engine build'],
    ['a number of jobs that is none', ['torch', '--jobs', '0'], 'detco: --jobs "0": expected a whole number, 1..1024'],
    [
      'test programs without a folder for them',
      ['torch', '--tests'],
      'detco: --tests true: the test programs are left in the folder of --work',
    ],
    ['an empty name', ['torch', '--libtorch', ''], 'detco: --libtorch "": expected a folder'],
    [
      'a folder that is not there',
      ['torch', '--libtorch', '/none'],
      'detco: --libtorch "/none": no such folder; expected an unpacked LibTorch',
    ],
    [
      'two TensorFlows',
      ['tensorflow', '--python', 'python3', '--wheel', 'a.whl'],
      'detco: --wheel "a.whl": it is built against one TensorFlow: give --wheel or --python, not both',
    ],
    [
      'a Python that is not there',
      ['tensorflow', '--python', '/none/python'],
      'detco: --python "/none/python": no /none/python; expected a Python with TensorFlow: /none/python -m pip install --upgrade tensorflow-cpu',
    ],
    [
      'a wheel that is not there',
      ['tensorflow', '--wheel', '/none.whl'],
      'detco: --wheel "/none.whl": no such file; expected a wheel of tensorflow or tensorflow-cpu for this machine',
    ],
  ])('ends with 2 for %s', async (_what, args, message) => {
    const { code, stdout, stderr } = await detco(['engine', 'build', ...args]);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('ends with 2 for a LibTorch that is too old, given or in $LIBTORCH', async () => {
    const old = await writeTree(join(folder, 'old'), { ...LIBTORCH_PARTS, 'build-version': '1.12.1+cpu' });
    for (const outcome of [
      await detco(['engine', 'build', 'torch', '--libtorch', old]),
      await detco(['engine', 'build', 'torch'], { env: { LIBTORCH: old } }),
    ]) {
      expect(outcome.code).toBe(2);
      expect(outcome.stderr).toContain('LibTorch 1.12.1+cpu is too old: expected 1.13 or newer; install a newer one');
    }
  });

  test('ends with 1 without CMake in PATH and names the package', async () => {
    const env = { PATH: await writeTree(join(folder, 'empty'), {}), LIBTORCH: await hollow() };
    const { code, stderr } = await detco(['engine', 'build', 'torch'], { env });
    expect(code).toBe(1);
    expect(stderr).toContain(`$LIBTORCH (${env.LIBTORCH}): LibTorch 2.1.0+cpu, CPU, libraries in ${env.LIBTORCH}/lib`);
    expect(stderr).toContain('Cannot build: cmake and a C++ compiler not found. On Debian and Ubuntu: apt-get install');
  });

  withTools('quotes the compiler when it fails, leaves no objects, and names the log (cmake and c++)', async () => {
    const temporary = await writeTree(join(folder, 'temporary'), {});
    const env = { LIBTORCH: await hollow(), TMPDIR: temporary };
    const { code, stdout, stderr } = await detco(['engine', 'build', 'torch', '--jobs', '1', '--json'], { env });
    expect(stderr).toMatch(/compiling \d+ files, 1 at once/);
    expect(stderr).toMatch(/detco: the compiler failed:\n[\s\S]*#error hollow[\s\S]*The whole log is .*build\.log/);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(await readdir(temporary)).toEqual([]);
  });
});
