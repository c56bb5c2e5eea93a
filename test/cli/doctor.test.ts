import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from '@jest/globals';

const run = promisify(execFile);

/** The command in a process of its own, as `detco doctor` runs it. */
async function doctor(...args: string[]): Promise<string> {
  const url = new URL('../../dist/cli/doctor.js', import.meta.url).href;
  const script = `const { doctorCommand } = await import('${url}'); await doctorCommand().parseAsync(${JSON.stringify(args)}, { from: 'user' });`;
  const { stdout, stderr } = await run(process.execPath, ['--input-type=module', '--eval', script]);
  expect(stderr).toBe('');
  return stdout;
}

describe('detco doctor', () => {
  test('names the machine, the decoder and every engine, with the remedy for those that are missing', async () => {
    const text = await doctor();
    for (const part of [process.versions.node, 'libvips', 'UV_THREADPOOL_SIZE', 'wasm', 'tensorflow', 'torch', 'use --engine wasm']) {
      expect(text).toContain(part);
    }
  });

  test('prints one JSON object for --json', async () => {
    const report: unknown = JSON.parse(await doctor('--json'));
    expect(report).toMatchObject({
      node: process.versions.node,
      platform: `${process.platform} ${process.arch}`,
      engines: expect.arrayContaining([expect.objectContaining({ name: 'wasm', available: true })]),
    });
  });
});
