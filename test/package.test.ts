/** The package as npm packs it, as it is installed without its peers, and as `npx` runs it in a checkout. */
import { execFile } from 'node:child_process';
import { cp, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { detco } from './cli/detco.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-package-'));
});
afterAll(() => rm(folder, { recursive: true }));

describe('what is packed', () => {
  let files: readonly string[];
  beforeAll(async () => {
    const { stdout } = await run('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'], { cwd: ROOT });
    const [packed] = JSON.parse(stdout) as { files: { path: string }[] }[];
    files = packed?.files.map(({ path }) => path) ?? [];
  });

  test('holds what it runs and what its licences ask for', () => {
    const needed = ['bin/detco.cjs', 'dist/cli/main.js', 'dist/engine/tfjs-extras.js', 'dist/engine/wasm/kernels.wasm', 'README.md'];
    expect(files).toEqual(expect.arrayContaining([...needed, 'CHANGELOG.md', 'LICENSE', 'LICENSE.tensorflowjs']));
    expect(files.filter((path) => /^(src|test)\//.test(path))).toEqual([]);
  });

  test('holds each declaration that an entry point leads to, and none of the commands', async () => {
    const { exports } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { exports: Record<string, { types?: string }> };
    const found = new Set<string>();
    const look = async (path: string): Promise<void> => {
      if (found.has(path)) return;
      found.add(path);
      const named = [...(await readFile(join(ROOT, path), 'utf8')).matchAll(/(?:from |import\()['"](\.[^'"]+)\.js['"]/g)];
      await Promise.all(named.map(([, target = '']) => look(posix.join(posix.dirname(path), `${target}.d.ts`))));
    };
    await Promise.all(Object.values(exports).map(({ types }) => types === undefined || look(posix.normalize(types))));
    expect(found.size).toBeGreaterThan(100);
    expect([...found].filter((path) => !files.includes(path))).toEqual([]);
    expect(files.filter((path) => /^dist\/cli\/.*\.d\.ts$/.test(path))).toEqual([]);
  });

  test('holds the scripts and configs for detectors, and nothing that Python left beside them', () => {
    const downstream = files.filter((path) => path.startsWith('downstream/'));
    expect(downstream).toEqual(expect.arrayContaining(['downstream/detect.py', 'downstream/detectron2/base.yaml']));
    expect(downstream.filter((path) => !/\.(py|yaml)$/.test(path))).toEqual([]);
  });

  test('has no relative link in its documents that leads out of it', async () => {
    const documents = files.filter((path) => path.endsWith('.md'));
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/architecture.md']));
    const links = await Promise.all(
      documents.map(async (document) => {
        const text = await readFile(join(ROOT, document), 'utf8');
        return [...text.matchAll(/\]\((?!\w+:|#)([^)#]+)[^)]*\)/g)].map(([, target = '']) => ({
          document,
          target: posix.join(posix.dirname(document), target),
        }));
      }),
    );
    expect(links.flat().length).toBeGreaterThan(30);
    const leadsNowhere = ({ target }: { target: string }): boolean =>
      !files.some((path) => path === target || path.startsWith(`${target}/`));
    expect(links.flat().filter(leadsNowhere)).toEqual([]);
  });

  test('names no source map, for it holds no sources', async () => {
    const modules = files.filter((path) => path.endsWith('.js'));
    const mapped = await Promise.all(modules.map(async (path) => (await readFile(join(ROOT, path), 'utf8')).includes('sourceMappingURL=')));
    expect(modules.filter((_, i) => mapped[i])).toEqual([]);
  });

  test('has no script that npm would run, or warn of, where it is installed', async () => {
    const { scripts } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8')) as { scripts: Record<string, string> };
    for (const name of ['preinstall', 'install', 'postinstall', 'prepare']) expect(scripts).not.toHaveProperty(name);
  });
});

/** A copy of what is installed, with these packages of ours in its node_modules. @returns its command */
async function installed(name: string, isThere: (packageName: string) => boolean): Promise<string> {
  const copy = join(folder, name);
  for (const part of ['bin', 'dist', 'package.json']) await cp(join(ROOT, part), join(copy, part), { recursive: true });
  const modules = await readdir(join(ROOT, 'node_modules'));
  await mkdir(join(copy, 'node_modules'));
  for (const entry of modules.filter(isThere)) await symlink(join(ROOT, 'node_modules', entry), join(copy, 'node_modules', entry));
  return join(copy, 'bin/detco.cjs');
}

describe('the pipeline alone, installed without peer dependencies', () => {
  const REMEDY = 'npm install @tensorflow/tfjs-core@4 @tensorflow/tfjs-backend-wasm@4';
  let bin: string;
  beforeAll(async () => {
    bin = await installed('alone', (name) => name !== '@tensorflow');
  });

  test('makes, verifies, indexes and profiles shards, shows views, exports and imports weights', async () => {
    const shards = join(folder, 'shards/train-000.tar');
    for (const args of [
      ['synth', '--out', dirname(shards), '--count', '16', '--size', '32x32'],
      ['verify', '--shards', shards],
      ['index', '--shards', shards, '--out', join(folder, 'indexes')],
      ['shard', shards, '--out', join(folder, 'again/train')],
      ['views', '--shards', shards, '--out', join(folder, 'views.png')],
      ['profile', '--shards', shards, '--batch', '4', '--seconds', '1'],
      ['export', '--checkpoint', 'fixtures/runs/detco-0.1', '--out', join(folder, 'r18.pth')],
      ['import', join(folder, 'r18.pth'), '--out', join(folder, 'weights')],
    ]) {
      expect(await detco(args, { bin })).toMatchObject({ code: 0 });
    }
  });

  test('is imported without a tensor library', async () => {
    const program =
      "console.log(typeof (await import('detco/pipeline')).createPipeline, typeof (await import('detco/engine')).selectEngine)";
    const { stdout } = await run(process.execPath, ['--input-type=module', '--eval', program], { cwd: dirname(dirname(bin)) });
    expect(stdout).toBe('function function\n');
  });

  test('helps with train', async () => {
    expect(await detco(['train', '--help'], { bin })).toMatchObject({ code: 0, stdout: expect.stringContaining('--queue-size <n>') });
  });

  test('says at train which command adds what it needs, as unusable arguments', async () => {
    expect(await detco(['train', '--shards', 'shards'], { bin })).toMatchObject({ code: 2, stderr: expect.stringContaining(REMEDY) });
  });

  test('says so of every engine', async () => {
    const { code, stdout } = await detco(['doctor', '--json'], { bin });
    expect(code).toBe(1);
    const { engines } = JSON.parse(stdout) as { engines: { name: string }[] };
    const missing = { available: false, reason: '@tensorflow/tfjs-core is not installed', remedy: REMEDY };
    expect(engines).toEqual(['torch', 'tensorflow', 'wasm'].map((name) => expect.objectContaining({ name, ...missing })));
  });
});

test('the version is told before any command is loaded', async () => {
  const bin = await installed('bare', (name) => name === 'commander');
  expect(await detco(['--version'], { bin })).toMatchObject({ code: 0, stderr: '' });
});

test('npx in the checkout runs what is built and does not build it again', async () => {
  const built = join(ROOT, 'dist/cli/main.js');
  const before = await stat(built);
  // A new cache is how npx meets a new clone.
  const cache = join(folder, 'cache');
  const { stdout } = await run('npm', ['exec', '--offline', '--cache', cache, '--', 'detco', '--version'], { cwd: ROOT });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  expect((await stat(built)).mtimeMs).toBe(before.mtimeMs);
});
