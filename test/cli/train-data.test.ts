/**
 * The data of a run as a user meets them: logins that reach no file and no output, shards that move, are replaced or are missing.
 * Real processes against a real server that wants a login and a signature.
 */
import { once } from 'node:events';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, jest, test } from '@jest/globals';
import { answer, type HttpServer, startHttp } from '../support/http.js';
import { writeTestShards } from '../support/shards.js';
import { detco, type Outcome } from './detco.js';

jest.setTimeout(300_000);

const CONFIG = `
preset: tiny
engine: wasm
batch: 8
epochs: 2
method: { width: 4, dim: 8, queueSize: 32, bnGroups: 2 }
recipe: { globalSize: 16, patchSize: 8 }
shuffle: 4
`;
const COUNT = 4;

/** Fewer than the 16 lanes, which are shared then: no shard is streamed whole and none leaves an index. */
let folder: string;
let files: string[];
let server: HttpServer;
let password = '';
/** Signatures that the server takes, and those that it gets. */
let signature = '';
let missing: string | undefined;

const login = () => server.url.replace('http://', `http://me:${password}@`);
const range = (place = login(), query = `?X-Amz-Signature=${signature}&X-Amz-Expires=60`) => `${place}/shard-{000..003}.tar${query}`;
const run = (name: string) => join(folder, name);
const bytesRead = (from: number): number => server.requests.slice(from).filter(({ range: asks }) => asks !== 'bytes=0-0').length;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-train-data-'));
  await writeFile(join(folder, 'config.yaml'), CONFIG);
  files = await writeTestShards(join(folder, 'shards'), { counts: Array.from({ length: COUNT }, () => 16) });
  const bodies = new Map<string, Buffer>(
    await Promise.all(files.map(async (path) => [`/${basename(path)}`, await readFile(path)] as const)),
  );
  server = await startHttp((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', server.url);
    const allowed = request.headers.authorization === `Basic ${Buffer.from(`me:${password}`).toString('base64')}`;
    if (!allowed || searchParams.get('X-Amz-Signature') !== signature) {
      response.writeHead(allowed ? 403 : 401).end();
      return;
    }
    const body = pathname === missing ? undefined : bodies.get(pathname);
    answer(request, response, body && { body, etag: `"${pathname}"` });
  });
});
beforeEach(() => {
  password = 'first-hush';
  signature = 'first-hush';
  missing = undefined;
});
afterAll(async () => {
  await server.close();
  await rm(folder, { recursive: true });
});

async function train(name: string, shards: string, ...more: readonly string[]): Promise<Outcome> {
  return detco(['train', '--config', join(folder, 'config.yaml'), '--shards', shards, '--out', run(name), ...more], {
    env: { DETCO_DEBUG: '1', DETCO_HTTP_RETRIES: '1' },
  });
}

async function losses(name: string): Promise<number[]> {
  const lines = (await readFile(join(run(name), 'metrics.jsonl'), 'utf8')).trimEnd().split('\n');
  return lines.flatMap((line) => (JSON.parse(line) as { loss?: number }).loss ?? []);
}

/** Every file of a folder, names and content, as one text. */
async function everything(path: string): Promise<string> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true });
  const texts = entries.map(async (entry) => {
    const file = join(entry.parentPath, entry.name);
    return entry.isFile() ? `${file}\n${await readFile(file, 'latin1')}` : file;
  });
  return (await Promise.all(texts)).join('\n');
}

function expectSuccess({ code, stderr }: Outcome): void {
  expect({ code, stderr: code === 0 ? '' : stderr }).toEqual({ code: 0, stderr: '' });
}

describe('a login and a signature', () => {
  test('are in no file and no line of output, whatever command is given them and however it ends', async () => {
    const place = run('secrets');
    await mkdir(place);
    const [index, cache, list] = [join(place, 'index'), join(place, 'cache'), join(folder, 'list.txt')];
    await writeFile(list, `${range()}\n`);
    const options = { env: { DETCO_DEBUG: '1', DETCO_HTTP_RETRIES: '0' } };
    const outcomes: Outcome[] = [];
    const give = async (...args: readonly string[]): Promise<void> => void outcomes.push(await detco(args, options));

    await give(
      'train',
      '--config',
      join(folder, 'config.yaml'),
      '--shards',
      range(),
      '--val-shards',
      range(),
      '--out',
      join(place, 'run'),
      '--steps',
      '2',
      '--json',
      '--profile',
      join(place, 'training.html'),
      '--cache-dir',
      cache,
    );
    await give('index', '--shards', `@${list}`, '--out', index, '--json');
    await give('verify', '--shards', range(), '--index', index, '--json');
    await give(
      'profile',
      '--shards',
      range(),
      '--seconds',
      '1',
      '--batch',
      '8',
      '--global-size',
      '16',
      '--patch-size',
      '8',
      '--json',
      '--report',
      join(place, 'report.html'),
      '--trace',
      join(place, 'trace.json'),
    );
    await give('shard', range(), '--out', join(place, 'made'), '--json');
    expect(outcomes.map(({ code, stderr }) => (code === 0 ? '' : stderr))).toEqual(['', '', '', '', '']);

    // Resumes, and each way to fail.
    missing = '/shard-002.tar';
    await give('train', '--resume', join(place, 'run'), '--shards', range());
    await give('train', '--resume', join(place, 'run'));
    await give('train', '--config', join(folder, 'config.yaml'), '--shards', range(), '--out', join(place, 'failed'));
    await give('verify', '--shards', range());
    await give('verify', '--shards', range(login().replace('me:', 'me:x')));
    await give('index', '--shards', range(`${login()}:1`), '--out', join(place, 'unreachable'));
    await give('shard', range(), '--out', join(place, 'unmade'));
    await give('train', '--shards', `https://me:${password}@[`, '--out', join(place, 'none'));
    await give('train', '--shard', range());
    await give(`--shards=${range()}`);
    expect(outcomes.slice(5).filter(({ code }) => code === 0)).toEqual([]);

    const output = outcomes.map(({ stdout, stderr }) => stdout + stderr).join('\n');
    expect(output).toContain(`${server.url}/shard-002.tar`);
    expect(output).not.toContain('hush');
    expect(await readdir(cache)).toHaveLength(COUNT);
    expect(await everything(place)).not.toContain('hush');
  });

  test('may be others at a resume: the same index and the same cached shards serve, and the losses are the same', async () => {
    const cache = ['--cache-dir', run('cache')];
    expectSuccess(await train('whole', range()));
    expectSuccess(await train('again', range(), '--steps', '6', ...cache));
    [password, signature] = ['second-hush', 'second-hush'];
    const before = server.requests.length;
    const resumed = await detco(['train', '--resume', run('again'), '--steps', '16', '--shards', range()]);
    expectSuccess(resumed);
    expect(resumed.stderr).toContain('data: the shards of the run; compared 4 names, 4 sizes, 4 times or ETags');
    expect(bytesRead(before)).toBe(0);
    expect(await losses('again')).toEqual(await losses('whole'));
  });

  test('are not kept: a resume without them says to give them again', async () => {
    expectSuccess(await train('kept', range(), '--steps', '2'));
    const { code, stderr } = await detco(['train', '--resume', run('kept'), '--steps', '4']);
    expect(stderr).toContain(`${run('kept')} keeps neither logins nor signatures: give --shards again with the login`);
    expect(code).toBe(2);
  });
});

describe('the data of a run', () => {
  test('with a hole end it before the first update', async () => {
    missing = '/shard-001.tar';
    const { code, stderr } = await train('hole', range());
    expect(stderr).toMatch(/shard-001\.tar: no such object \(404\).* it is the only one missing of 4 shards/);
    expect(code).toBe(2);
    expect(await readdir(folder)).not.toContain('hole');
  });

  test('on a server that does not answer are named as what is waited for', async () => {
    const silent = createServer();
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const place = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const waits = (line: string) => new RegExp(`^waiting for ${place}: \\d+s so far$`).test(line);
    const config = join(folder, 'config.yaml');
    const args = ['train', '--config', config, '--shards', `${place}/shard-{000..003}.tar`, '--out', run('silent')];
    const { code, stderr } = await detco(args, { onLine: (line) => (waits(line) ? 'SIGINT' : undefined) });
    expect(stderr.split('\n').filter(waits)).toHaveLength(1);
    expect(code).toBe(130);
    silent.close();
  });

  test('may have moved to another folder or host: a resume says what it compared, and the losses are the same', async () => {
    expectSuccess(await train('before', range()));
    expectSuccess(await train('moved', range(), '--steps', '6'));
    const place = join(folder, 'elsewhere');
    await cp(join(folder, 'shards'), place, { recursive: true });
    const resumed = await detco(['train', '--resume', run('moved'), '--steps', '16', '--shards', place]);
    expectSuccess(resumed);
    expect(resumed.stderr).toContain('data: the shards of the run, 4 of them in another place; compared 4 names, 4 sizes');
    expect(await losses('moved')).toEqual(await losses('before'));
    // From there on they are the run's.
    expect((await detco(['train', '--resume', run('moved')])).stderr).toContain(
      'data: the shards of the run; compared 4 names, 4 sizes, 4 times',
    );
  });

  test('that were replaced between stop and resume are noticed, though there is no index', async () => {
    const place = join(folder, 'replaced');
    await cp(join(folder, 'shards'), place, { recursive: true });
    expectSuccess(await train('stale', join(place, '*.tar'), '--steps', '2'));
    expect(await readdir(run('stale'))).not.toContain('index');
    const before = await everything(run('stale'));
    const [was] = await writeTestShards(join(folder, 'other'), { counts: [20], seed: 9 });
    await cp(was ?? '', join(place, 'shard-000.tar'));
    const { code, stderr } = await detco(['train', '--resume', run('stale'), '--steps', '4']);
    expect(stderr).toMatch(/stale cannot go on: .*shard-000\.tar: has \d+ bytes, it had \d+; put the old data back, or start another run/);
    expect(code).toBe(2);
    expect(await everything(run('stale'))).toBe(before);
  });

  test('that were written again with the same size stop a resume until it is told that they are the same', async () => {
    const place = join(folder, 'touched');
    await cp(join(folder, 'shards'), place, { recursive: true });
    expectSuccess(await train('touched-run', place, '--steps', '2'));
    await cp(files[0] ?? '', join(place, 'shard-000.tar'));
    const again = ['train', '--resume', run('touched-run'), '--steps', '4'];
    const refused = await detco(again);
    expect(refused.stderr).toMatch(/shard-000\.tar: was written again .*--check-shards sizes/);
    expect(refused.code).toBe(2);
    expectSuccess(await detco([...again, '--check-shards', 'sizes']));
    // That was for once: what it accepted is what the run has from then on.
    expect((await detco([...again, '--steps', '5'])).stderr).toContain('4 sizes, 4 times or ETags');
  });

  test('named by relative paths are found again from any folder, and by name when all has moved', async () => {
    const home = join(folder, 'home');
    await cp(join(folder, 'shards'), join(home, 'data'), { recursive: true });
    await writeFile(join(home, 'list.txt'), 'data/shard-{000..003}.tar\n');
    const bin = resolve('bin/detco.cjs');
    const config = join(folder, 'config.yaml');
    expectSuccess(await detco(['train', '--config', config, '--shards', '@list.txt', '--out', 'run', '--steps', '2'], { bin, cwd: home }));
    expectSuccess(await detco(['train', '--resume', join(home, 'run'), '--steps', '4']));

    const moved = join(folder, 'moved-home');
    await rename(home, moved);
    const again = ['train', '--resume', join(moved, 'run'), '--steps', '6'];
    const { stderr } = await detco(again);
    expect(stderr).toContain(`looks for them from ${home}: if they lie elsewhere by now, name their place with --shards`);
    expectSuccess(await detco([...again, '--shards', join(moved, 'data')]));
  });
});
