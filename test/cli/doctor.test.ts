import { execFile } from 'node:child_process';
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';

const run = promisify(execFile);

const ROOT = join(import.meta.dirname, '../..');

/** The command in a process of its own, as `detco doctor` runs it. @param root of the package */
async function doctor(args: readonly string[] = [], root: string = ROOT, env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const url = `file://${root}/dist/cli/doctor.js`;
  const script = `const { doctorCommand } = await import('${url}'); await doctorCommand().parseAsync(${JSON.stringify(args)}, { from: 'user' });`;
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script], { cwd: root, env });
  expect(stderr).toBe('');
  return stdout;
}

describe('detco doctor', () => {
  test('names the machine, the decoder and every engine, with the remedy for those that are missing', async () => {
    const text = await doctor();
    for (const part of [process.versions.node, 'libvips', 'UV_THREADPOOL_SIZE', 'wasm', 'tensorflow', 'torch']) {
      expect(text).toContain(part);
    }
  });

  describe('where nothing is built', () => {
    let root: string;
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'detco-doctor-test-'));
      for (const name of ['dist', 'package.json']) await cp(join(ROOT, name), join(root, name), { recursive: true });
      await symlink(join(ROOT, 'node_modules'), join(root, 'node_modules'));
    });
    afterAll(() => rm(root, { recursive: true }));

    // Products that the caller names.
    const { DETCO_TENSORFLOW_BUILD: _tensorflow, DETCO_TORCH_ADDON: _torch, ...unnamed } = process.env;

    test('prints the commands that add TensorFlow, stock and current, and LibTorch', async () => {
      const { engines } = JSON.parse(await doctor(['--json'], root, unnamed)) as { engines: Record<string, unknown>[] };
      const tensorflow = {
        name: 'tensorflow',
        available: false,
        reason: 'no tfjs-node is built or installed',
        remedy: expect.stringMatching(
          /^npm install @tensorflow\/tfjs-node \(.* installs the stock package, .*; .*npx detco engine build tensorflow builds it on a current/,
        ),
      };
      const torch = { name: 'torch', available: false, remedy: expect.stringMatching(/npx detco engine build torch$/) };
      expect(engines).toEqual(expect.arrayContaining([expect.objectContaining(tensorflow), expect.objectContaining(torch)]));
    });
  });

  test('prints one JSON object for --json', async () => {
    const report: unknown = JSON.parse(await doctor(['--json']));
    expect(report).toMatchObject({
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
      engines: expect.arrayContaining([expect.objectContaining({ name: 'wasm', available: true })]),
    });
  });
});
