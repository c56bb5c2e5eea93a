/** The server as clients meet it that are no browser. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { get, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { serveWatch, type WatchServer, type WatchServerOptions } from '#dist/watch/server.js';
import type { Message } from '#dist/watch/protocol.js';
import { detco } from '../cli/detco.js';
import { linesText, lineText, writeRun } from './metrics-file.js';

// A million lines and six processes, on whatever machine runs the tests.
jest.setTimeout(300_000);

interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

let folder = '';
let run = '';
const servers: WatchServer[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'detco-watch-server-'));
  run = await writeRun(join(folder, 'run'), linesText(1, 20));
  await writeFile(join(folder, 'secret.txt'), 'secret');
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close();
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function serve(options: Partial<WatchServerOptions> = {}): Promise<URL> {
  const server = await serveWatch({ folders: [run], port: 0, ...options });
  servers.push(server);
  return new URL(server.url);
}

/** The path is sent as it is: `fetch` would tidy it. */
function ask(
  url: URL,
  path: string,
  options: { readonly headers?: Record<string, string>; readonly method?: string } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: url.hostname, port: url.port, path, ...options }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text: string) => (body += text));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.on('error', reject).end();
  });
}

/** Messages of a connection until `enough` of them. */
function messages(url: URL, enough: (all: readonly Message[]) => boolean): Promise<Message[]> {
  return new Promise((resolve, reject) => {
    const all: Message[] = [];
    let rest = '';
    const sent = get(new URL('/events', url), (response) => {
      response.setEncoding('utf8').on('data', (text: string) => {
        const events = (rest + text).split('\n\n');
        rest = events.pop() ?? '';
        for (const event of events) if (event.startsWith('data: ')) all.push(JSON.parse(event.slice(6)) as Message);
        if (!enough(all)) return;
        sent.destroy();
        resolve(all);
      });
    });
    sent.on('error', reject);
  });
}

test('the page and its files come with headers that keep other sites out', async () => {
  const url = await serve();
  for (const [path, type] of [
    ['/', 'text/html'],
    ['/main.js', 'text/javascript'],
    ['/main.css', 'text/css'],
    ['/icon.svg', 'image/svg+xml'],
  ] as const) {
    const { status, headers } = await ask(url, path);
    expect(status).toBe(200);
    expect(headers['content-type']).toContain(type);
    expect(headers['content-security-policy']).toMatch(/^default-src 'self';/);
    expect(headers['x-content-type-options']).toBe('nosniff');
  }
});

test.each([
  '/secret.txt',
  '/../secret.txt',
  '/%2e%2e/secret.txt',
  '/views/../secret.txt',
  '/views/9.png',
  '/main.js/../../secret.txt',
  '/constructor',
])('nothing else is served: %s', async (path) => {
  expect(await ask(await serve(), path)).toMatchObject({ status: 404 });
});

test('the bundles keep the licence of uPlot, as it asks', async () => {
  const url = await serve();
  for (const path of ['/main.js', '/main.css']) expect((await ask(url, path)).body).toContain('Copyright (c) 2022 Leon Sorokin');
});

test('only reads', async () => {
  const url = await serve();
  for (const method of ['POST', 'PUT', 'DELETE'])
    expect(await ask(url, '/', { method })).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
});

test('answers on loopback to its own names alone, so that no page of another site can be pointed to it', async () => {
  const url = await serve();
  expect(await ask(url, '/', { headers: { host: `localhost:${url.port}` } })).toMatchObject({ status: 200 });
  expect(await ask(url, '/', { headers: { host: '[::1]:9' } })).toMatchObject({ status: 200 });
  for (const host of ['evil.example', `127.0.0.1.evil.example:${url.port}`, 'localhost.evil.example'])
    expect(await ask(url, '/events', { headers: { host } })).toMatchObject({ status: 403 });
});

test('on another host asks for the token of its URL, and keeps it in a cookie', async () => {
  const shown = await serve({ host: '0.0.0.0' });
  const url = new URL(`http://127.0.0.1:${shown.port}`);
  const token = shown.searchParams.get('token') ?? '';
  expect(token).toMatch(/^[\w-]{24}$/);
  for (const path of ['/', '/main.js', '/events', '/?token=', `/?token=${token.slice(1)}`, `/?token=${token.slice(1)}A`])
    expect(await ask(url, path)).toMatchObject({ status: 403 });
  const { status, headers } = await ask(url, `/?token=${token}`);
  expect({ status, location: headers['location'] }).toEqual({ status: 303, location: '/' });
  const [cookie = ''] = headers['set-cookie'] as string[];
  expect(cookie).toMatch(/; HttpOnly; SameSite=Strict; Path=\/$/);
  const [pair = ''] = cookie.split(';');
  expect(await ask(url, '/', { headers: { cookie: `other=1; ${pair}` } })).toMatchObject({ status: 200 });
  expect(await ask(url, '/', { headers: { cookie: `${pair}x` } })).toMatchObject({ status: 403 });
});

test('every connection gets all points first, and what is new after them', async () => {
  const url = await serve();
  const points = (all: readonly Message[]) => all.filter((message) => message.type === 'points');
  for (let time = 0; time < 2; time++) {
    const all = await messages(url, (some) => points(some).length > 0);
    expect(all[0]).toMatchObject({ type: 'runs', runs: [{ id: 0, name: 'run' }] });
    expect(points(all)).toMatchObject([{ run: 0, updates: { from: 0, steps: Array.from({ length: 20 }, (_, index) => index + 1) } }]);
  }
});

test('a file of a million lines is told of while it is read, and sent as 4096 points at most', async () => {
  let text = '';
  for (let step = 1; step <= 1_000_000; step++) text += `{"step":${step},"epoch":0,"loss":${(step % 100) / 10}}\n`;
  const long = await writeRun(join(folder, 'long'), text);
  const url = await serve({ folders: [long] });
  const last = (all: readonly Message[]) => all.findLast((message) => message.type === 'points')?.updates;
  const all = await messages(url, (some) => last(some)?.steps.at(-1) === 1_000_000);
  expect(all.some((message) => message.type === 'runs' && (message.runs[0]?.read ?? 1) < 1)).toBe(true);
  expect(last(all)?.steps.length).toBeLessThanOrEqual(4096);
  expect(Math.max(...all.map((message) => JSON.stringify(message).length))).toBeLessThan(1e6);
});

test('detco watch ends with 2 for what cannot be watched, and says why', async () => {
  const { port } = await serve();
  for (const [args, reason] of [
    [[run, '--port', port], `port ${port} of 127.0.0.1 is taken by another program`],
    [[run, '--port', '65536'], '--port "65536": expected a whole number, 0..65535'],
    [[run, '--host', '203.0.113.7', '--port', '0'], '203.0.113.7 is no address of this machine'],
    [[join(folder, 'none')], `"${join(folder, 'none')}": there is no such folder`],
    [[join(folder, 'secret.txt')], 'this is a file; give a run'],
    [[], "missing required argument 'folder'"],
  ] as const) {
    const { code, stderr } = await detco(['watch', ...args]);
    expect(stderr).toContain(reason);
    expect(code).toBe(2);
  }
});

test('a step that is made again is sent again, from there', async () => {
  const path = await writeRun(join(folder, 'again'), linesText(1, 6) + lineText({ step: 5, loss: 55 }));
  const all = await messages(await serve({ folders: [path] }), (some) => some.some(({ type }) => type === 'points'));
  expect(all.at(-1)).toMatchObject({ updates: { steps: [1, 2, 3, 4, 5], columns: { loss: { mean: [10, 5, 3.33333, 2.5, 55] } } } });
});
