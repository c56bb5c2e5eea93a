import { spawnSync } from 'node:child_process';
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { detco } from './detco.js';

describe('detco', () => {
  test('prints its version', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await detco(['--version'])).toMatchObject({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  test('lists its commands', async () => {
    const { code, stdout } = await detco(['--help']);
    expect(code).toBe(0);
    expect(stdout).toContain('train');
  });

  test.each<[string, string[], string]>([
    ['an unknown command', ['trian'], "detco: unknown command 'trian'\n(Did you mean train?)"],
    ['an unknown option', ['train', '--bacth', '3'], "detco: unknown option '--bacth'\n(Did you mean --batch?)"],
    ['no shards', ['train'], 'detco: No shards to train on: give --shards'],
    ['an unknown preset', ['train', '--shards', 'a.tar', '--preset', 'small'], 'detco: Unknown preset "small": '],
    ['a config file that is not there', ['train', '--config', 'none.yaml'], 'detco: Cannot read the config file "none.yaml"'],
    ['a run that is not there', ['train', '--resume', 'runs/none'], 'detco: "runs/none" is not a run that can be resumed'],
    ['a scheme that is not supported', ['verify', '--shards', 'ftp://x'], 'detco: ftp://x: "ftp://" is not supported'],
    ['an S3 location without a bucket', ['verify', '--shards', 's3://'], 'detco: s3://: is not an S3 location'],
    ['a URL without a host', ['profile', '--shards', 'http://'], 'detco: http://: is not a URL'],
    ['an engine that is not there', ['train', '--shards', 'a.tar', '--engine', 'cuda'], 'detco: Unusable options: engine = "cuda"'],
  ])('ends with 2 for %s', async (_what, args, message) => {
    const { code, stdout, stderr } = await detco(args);
    expect(stderr).toContain(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  // Node raises the soft limit, so it is the hard one that counts.
  (process.platform === 'win32' ? test.skip : test).each([100, 40])('names the limit when %d open files are too few', async (limit) => {
    const command = `ulimit -n ${limit} && exec "$0" bin/detco.cjs views --shards fixtures/shards/val-000.tar --out /dev/null`;
    const { status, stderr } = spawnSync('sh', ['-c', command, process.execPath], { encoding: 'utf8' });
    // Node 24 opens fewer at once and may do with 100.
    if (limit === 100 && status === 0) return;
    expect(stderr).toMatch(
      new RegExp(`^detco: this process may have ${limit} files open at once; raise that to 1024 \\(ulimit -n, .*\\)\n`),
    );
    expect(status).toBe(1);
  });

  test('says what to do before it is built', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'detco-bin-'));
    try {
      await cp('bin', join(folder, 'bin'), { recursive: true });
      const { code, stderr } = await detco(['--version'], { bin: join(folder, 'bin/detco.cjs') });
      expect(code).toBe(1);
      expect(stderr).toContain('run npm run build');
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
