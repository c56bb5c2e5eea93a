/** Benchmarks tell their options whoever asks for them, or names another. */
import { execFile } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { expect, test } from '@jest/globals';

const run = promisify(execFile);
const scripts = readdirSync('bench').filter((name) => name.endsWith('.mjs') && /\[--/.test(readFileSync(`bench/${name}`, 'utf8')));

test('there are benchmarks with options', () => {
  expect(scripts).toEqual(expect.arrayContaining(['pipeline.mjs', 'quality.mjs', 'step.mjs']));
});

test.each(scripts)('%s tells its options', async (name) => {
  const script = `bench/${name}`;
  const [option = ''] = /--[a-z]+(?= [\dA-Z])/.exec(readFileSync(script, 'utf8')) ?? [];
  const { stdout } = await run(process.execPath, [script, '--help']);
  expect(stdout).toContain(`[${option} `);
  expect(stdout).not.toContain('*');
  const refused: unknown = await run(process.execPath, [script, '--helo']).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 2, stdout: '', stderr: expect.stringMatching(/^Unknown option '--helo'/) });
  expect(refused).toMatchObject({ stderr: expect.stringContaining(stdout) });
});
