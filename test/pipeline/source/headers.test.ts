/** Who is sent a token or a login, who is not, and what is said where one is wanted. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { inspect, promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { environmentHeaders } from '#dist/pipeline/source/environment-headers.js';
import { closeSources, openShard, SourceError } from '#dist/pipeline/source/index.js';
import { collect, noise } from '../../support/bytes.js';
import { setEnv } from '../../support/env.js';
import { answer, type Handler, type HttpServer, startHttp } from '../../support/http.js';
import { hasOpenssl, startBoth } from '../../support/tls.js';

const run = promisify(execFile);
const body = noise(3_000_001, 5);
const served = { body, etag: '"v1"' };
const NONE = { DETCO_HTTP_HEADERS: undefined, HF_TOKEN: undefined, HF_ENDPOINT: undefined, DETCO_HTTP_TIMEOUT_MS: '2000' };

let undo: () => void;
beforeEach(() => {
  undo = setEnv(NONE);
});
afterEach(async () => {
  undo();
  await closeSources();
});

const read = (url: string): Promise<Buffer> => collect(openShard(url));

/** A gated set: a server that wants a token, as Hugging Face does, and the storage to which it sends whoever has one. */
describe('a gated set', () => {
  let set: HttpServer;
  let storage: HttpServer;
  let seen: Record<'set' | 'storage', IncomingHttpHeaders[]>;
  /** What the storage does with a request. */
  let store: Handler;
  const accepted = { authorization: 'Bearer hf_secret', 'x-api-key': 'key_secret' };
  beforeEach(async () => {
    seen = { set: [], storage: [] };
    store = (request, response) => answer(request, response, served);
    storage = await startHttp((request, response) => {
      seen.storage.push(request.headers);
      return store(request, response);
    });
    set = await startHttp((request, response) => {
      seen.set.push(request.headers);
      const { authorization = '', 'x-api-key': key = '' } = request.headers;
      if (Object.values(accepted).includes(authorization) || key === accepted['x-api-key'] || authorization === basic('me:secret'))
        return response.writeHead(302, { location: `${storage.url}/cdn/a.tar?Expires=1&Signature=abc` }).end();
      return response.writeHead(authorization === '' ? 401 : 403, { 'x-error-code': 'GatedRepo' }).end('Access is restricted.');
    });
  });
  afterEach(async () => {
    await closeSources();
    await set.close();
    await storage.close();
  });
  const basic = (login: string): string => `Basic ${Buffer.from(login).toString('base64')}`;
  const credentialsOf = (headers: readonly IncomingHttpHeaders[]): unknown[] =>
    headers.flatMap(({ authorization, cookie, 'x-api-key': key }) => [authorization, cookie, key].filter((value) => value !== undefined));

  test.each([
    ['a bearer token', () => ({ DETCO_HTTP_HEADERS: `${set.url} Authorization: Bearer hf_secret` })],
    ['a header of its own kind', () => ({ DETCO_HTTP_HEADERS: `\n${set.url}/  X-Api-Key:key_secret\n` })],
    ['HF_TOKEN', () => ({ HF_TOKEN: 'hf_secret\n', HF_ENDPOINT: `${set.url}/` })],
    ['a login in its URL', () => ({})],
  ])('is read with %s, which the storage never sees, and so after a break', async (what, env) => {
    Object.assign(process.env, env());
    const login = what === 'a login in its URL' ? 'me:secret@' : '';
    let cuts = 0;
    store = (request, response) => answer(request, response, served, cuts++ === 0 ? { cutAfter: 1_000_000 } : {});
    expect((await read(`${set.url.replace('//', `//${login}`)}/a.tar`)).equals(body)).toBe(true);
    expect(credentialsOf(seen.set)).toHaveLength(2);
    expect(seen.storage).toHaveLength(2);
    expect(credentialsOf(seen.storage)).toEqual([]);
  });

  test('and its storage each get what is theirs', async () => {
    process.env['DETCO_HTTP_HEADERS'] = [
      `${set.url} Authorization: Bearer hf_secret`,
      `${set.url} Cookie: a=1`,
      `${storage.url} X-Api-Key: other`,
      'data.example.org Authorization: Bearer not_here',
    ].join('\n');
    await read(`${set.url}/a.tar`);
    expect(credentialsOf(seen.set)).toEqual(['Bearer hf_secret', 'a=1']);
    expect(credentialsOf(seen.storage)).toEqual(['other']);
  });

  test('takes the login of its URL before a header', async () => {
    process.env['DETCO_HTTP_HEADERS'] = `${set.url} Authorization: Bearer wrong`;
    await read(`${set.url.replace('//', '//me:secret@')}/a.tar`);
    expect(credentialsOf(seen.set)).toEqual([basic('me:secret')]);
  });

  test.each([
    ['without a token', () => ({}), '', /wants a login \(401 GatedRepo\); set DETCO_HTTP_HEADERS to "SET Authorization: Bearer TOKEN"/],
    [
      'with a wrong header',
      () => ({ DETCO_HTTP_HEADERS: `${set.url} Authorization: Bearer hf_wrong` }),
      '',
      /SET refuses access \(403 GatedRepo\); check the headers that DETCO_HTTP_HEADERS has for it/,
    ],
    ['with a wrong login', () => ({}), 'me:hf_wrong@', /SET refuses access \(403 GatedRepo\); check the login in the URL/],
    [
      'as a hub without HF_TOKEN',
      () => ({ HF_ENDPOINT: set.url }),
      '',
      /SET refuses access \(401 GatedRepo\); set HF_TOKEN to a token that may read this set \(SET\/settings\/tokens\), and accept the terms/,
    ],
    [
      'as a hub with a wrong HF_TOKEN',
      () => ({ HF_ENDPOINT: set.url, HF_TOKEN: 'hf_wrong' }),
      '',
      /SET refuses access \(403 GatedRepo\); the token is not accepted: check that HF_TOKEN may read this set/,
    ],
  ])('asked %s says what to set for which host, and shows no secret', async (_how, env, login, message) => {
    Object.assign(process.env, env());
    const error: unknown = await read(`${set.url.replace('//', `//${login}`)}/a.tar`).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(SourceError);
    expect(String(error).replaceAll(set.url, 'SET')).toMatch(message);
    expect(inspect(error)).not.toContain('hf_wrong');
  });

  test('whose storage refuses names the storage', async () => {
    process.env['DETCO_HTTP_HEADERS'] = `${set.url} Authorization: Bearer hf_secret`;
    store = (_request, response) => response.writeHead(403).end();
    await expect(read(`${set.url}/a.tar`)).rejects.toThrow(`${storage.url} refuses access (403); if the URL is presigned`);
  });
});

(hasOpenssl ? test : test.skip)('a token for HTTPS is not sent to the same host and port over HTTP', async () => {
  const seen: string[] = [];
  const both = await startBoth((secure) => (request, response) => {
    seen.push(`${secure ? 'https' : 'http'} ${request.headers.authorization} ${String(request.headers['x-api-key'])}`);
    if (secure) response.writeHead(302, { location: `http://${request.headers.host}/b.tar` }).end();
    else answer(request, response, served);
  });
  const env = {
    ...process.env,
    DETCO_HTTP_HEADERS: `${both.host} Authorization: Bearer secret\n${both.host} X-Api-Key: secret`,
    NODE_EXTRA_CA_CERTS: both.certificate,
  };
  try {
    // Node reads certificates when a process starts.
    const { stdout } = await run(process.execPath, ['test/support/read-shard.mjs', `https://${both.host}/a.tar`], { env });
    expect(stdout).toBe(createHash('sha256').update(body).digest('hex'));
    expect(seen).toEqual(['https Bearer secret secret', 'http undefined undefined']);
  } finally {
    await both.close();
  }
});

describe('headers of the environment', () => {
  test('HF_TOKEN is for huggingface.co and the mirror of HF_ENDPOINT, over their scheme only', () => {
    Object.assign(process.env, { HF_TOKEN: 'hf_1', HF_ENDPOINT: 'https://mirror.example.org/hub' });
    const withToken = [
      'https://huggingface.co',
      'http://huggingface.co',
      'https://evil-huggingface.co',
      'https://huggingface.co:8443',
      'https://cdn-lfs.huggingface.co',
      'https://mirror.example.org',
    ].filter((origin) => 'authorization' in environmentHeaders(origin));
    expect(withToken).toEqual(['https://huggingface.co', 'https://mirror.example.org']);
  });

  test.each([
    ['Authorization: Bearer top_secret', /line 1 of DETCO_HTTP_HEADERS does not name a host and a header; expected lines such as/],
    ['\nhost Authorization Bearer top_secret', /line 2 of DETCO_HTTP_HEADERS does not name a host/],
    ['X-Key: top_secret: 1', /does not name a host/],
    ['https://host/path Authorization: top_secret', /does not name a host/],
    ['ftp://host Authorization: top_secret', /does not name a host/],
    ['https://me:top_secret@host X-Key: 1', /does not name a host/],
    ['host Range: bytes=0-1', /line 1 of DETCO_HTTP_HEADERS sets Range, which belongs to the reader/],
    ['host X-Key: top_secret\u0007', /has no value for X-Key, or one with a character/],
    ['host X-Key:', /has no value for X-Key/],
  ])('of which %j is no line: an error that shows no value', async (text, message) => {
    process.env['DETCO_HTTP_HEADERS'] = text;
    const error: unknown = await read('http://127.0.0.1:9/a.tar').catch((error: unknown) => error);
    expect(error).toBeInstanceOf(RangeError);
    expect(String(error)).toMatch(message);
    expect(inspect(error)).not.toContain('top_secret');
  });
});

test.each([
  [407, /the proxy wants a login: put user:password@ before its host in HTTP_PROXY/],
  [403, /the proxy of HTTP_PROXY and HTTPS_PROXY refuses: name the host in NO_PROXY/],
  [503, /after 3 failures in a row, the last: Proxy response \(503\)/],
])('a proxy, named without a scheme as curl takes it, that answers %d', async (status, message) => {
  const proxy = createServer().on('connect', (_request, socket) => socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`));
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const { port } = proxy.address() as AddressInfo;
  const proxied = setEnv({ HTTP_PROXY: `127.0.0.1:${port}`, http_proxy: undefined, NO_PROXY: undefined, no_proxy: undefined });
  await expect(read('http://data.invalid/a.tar')).rejects.toThrow(message);
  proxied();
  await closeSources();
  await new Promise((resolve) => proxy.close(resolve));
});
