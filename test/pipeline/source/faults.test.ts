/** Reading over connections that break: what arrives is the object, byte for byte, or an error; never a splice, never an early end. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { closeSources, openShard, SourceError, type RetryEvent } from '#dist/pipeline/source/index.js';
import { collect, noise } from '../../support/bytes.js';
import { startChaosProxy } from '../../support/chaos-proxy.js';
import { setEnv } from '../../support/env.js';
import { answer, startHttp, type Handler, type HttpServer } from '../../support/http.js';
import { startS3, type S3Server } from '../../support/s3.js';

const body = noise(6_000_001, 3);
let restore: () => void;

beforeAll(() => {
  restore = setEnv({ DETCO_HTTP_TIMEOUT_MS: '400', DETCO_HTTP_RETRIES: '4' });
});
afterAll(() => restore());
afterEach(() => closeSources());

describe('through a proxy that drops, stalls, trickles and refuses', () => {
  let s3: S3Server;
  beforeAll(async () => {
    s3 = await startS3({ files: { 'a.tar': body } });
  });
  afterAll(() => s3.close());

  test.each([4, 5, 21])('an S3 object arrives whole every time, each resume signed (seed %d)', async (seed) => {
    const chaos = await startChaosProxy({ target: s3.endpoint, seed, drop: 0.4, stall: 0.15, trickle: 0.15, error503: 0.15 });
    const undo = setEnv({ ...s3.env, AWS_ENDPOINT_URL: chaos.url, DETCO_HTTP_RETRIES: '12' });
    const events: RetryEvent[] = [];
    const onRetry = (event: RetryEvent): unknown => events.push(event);
    try {
      for (const start of [0, 1000, 2_000_000, 4_000_000]) {
        const read = await collect(openShard(`${s3.url}/a.tar`, { start, onRetry }));
        expect(read.equals(body.subarray(start))).toBe(true);
      }
      const { dropped, stalled, trickled, refused } = chaos.counters;
      expect(dropped).toBeGreaterThan(0);
      expect(stalled).toBeGreaterThan(0);
      expect(trickled).toBeGreaterThan(0);
      expect(refused).toBeGreaterThan(0);
      // Each fault was met once, and nothing else went wrong.
      expect(events).toHaveLength(dropped + stalled + trickled + refused);
      const reasons = events.map((event) => event.reason).join('\n');
      expect(reasons).toMatch(/answered 503/);
      expect(reasons).toMatch(/UND_ERR_BODY_TIMEOUT/);
      expect(reasons).toMatch(/less than 4096 a second/);
      expect(reasons).toMatch(/UND_ERR_SOCKET|ECONNRESET/);
    } finally {
      undo();
      await closeSources();
      await chaos.close();
    }
  });
});

describe('from a server that', () => {
  let server: HttpServer;
  let handler: Handler;
  let requests = 0;
  beforeAll(async () => {
    server = await startHttp((request, response) => handler(request, response));
  });
  beforeEach(() => {
    requests = 0;
  });
  afterAll(() => server.close());

  /** Serves `versions[i]` (the last one from then on) to request i, cutting every body but the last one's. */
  function serve(versions: readonly Parameters<typeof answer>[2][], options: { readonly ranges?: boolean } = {}): void {
    handler = (request, response) => {
      const i = requests++;
      const last = i >= versions.length - 1;
      answer(request, response, versions[Math.min(i, versions.length - 1)], { ...options, ...(!last && { cutAfter: 2_000_000 }) });
    };
  }
  const read = (events: RetryEvent[] = []): Promise<Buffer> =>
    collect(openShard(`${server.url}/x.tar`, { onRetry: (event) => events.push(event) }));

  test('cuts bodies: goes on with Range and If-Match', async () => {
    const served = { body, etag: '"v1"' };
    serve([served, served, served]);
    expect((await read()).equals(body)).toBe(true);
    const [first, second, third] = server.requests.slice(-3);
    expect([first?.range, first?.ifMatch]).toEqual([undefined, undefined]);
    for (const request of [second, third]) {
      expect(request?.range).toMatch(/^bytes=\d+-$/);
      expect(request?.ifMatch).toBe('"v1"');
    }
  });

  test('cuts bodies more often than the limit of failures in a row: progress starts the count anew', async () => {
    const served = { body, etag: '"v1"' };
    let cuts = 0;
    handler = (request, response) => answer(request, response, served, cuts++ < 8 ? { cutAfter: 600_000 } : {});
    expect((await read()).equals(body)).toBe(true);
    expect(cuts).toBe(9);
  });

  test('ignores Range: skips what it has', async () => {
    const served = { body, etag: '"v1"' };
    serve([served, served], { ranges: false });
    expect((await read()).equals(body)).toBe(true);
    expect(requests).toBe(2);
  });

  const other = noise(body.byteLength, 4);
  const changes = [
    ['a strong ETag', { body, etag: '"v1"' }, { body: other, etag: '"v2"' }, /ETag "v1" -> "v2"/],
    ['a weak ETag', { body, etag: 'W/"v1"' }, { body: other, etag: 'W/"v2"' }, /ETag W\/"v1" -> W\/"v2"/],
    ['an ETag that is gone', { body, etag: 'W/"v1"' }, { body: other }, /ETag W\/"v1" -> none/],
    [
      'Last-Modified',
      { body, lastModified: new Date(0).toUTCString() },
      { body: other, lastModified: new Date(1e9).toUTCString() },
      /Last-Modified/,
    ],
    ['its size', { body, lastModified: 'x' }, { body: other.subarray(1), lastModified: 'x' }, /size 6000001 -> 6000000/],
  ] as const;
  test.each(changes)('replaces the object, as %s shows: an error, no splice', async (_what, before, after, message) => {
    for (const ranges of [true, false]) {
      requests = 0;
      serve([before, after], { ranges });
      await expect(read()).rejects.toThrow(message);
      await expect(read()).resolves.toHaveLength(after.body.byteLength);
    }
  });

  test('has a weak ETag and Last-Modified that stay: resumes', async () => {
    const served = { body, etag: 'W/"v1"', lastModified: new Date(0).toUTCString() };
    serve([served, served]);
    expect((await read()).equals(body)).toBe(true);
    expect(server.requests.at(-1)?.ifMatch).toBeUndefined();
  });

  test('tells nothing about its version: does not resume blindly', async () => {
    serve([{ body }, { body }]);
    await expect(read()).rejects.toThrow(/neither ETag nor Last-Modified/);
  });

  test('replaces the object before a byte has come: reads the new one', async () => {
    handler = (request, response) => {
      if (requests++ === 0) response.writeHead(200, { etag: '"v1"', 'content-length': 100 }).write('', () => response.destroy());
      else answer(request, response, { body, etag: '"v2"' });
    };
    expect((await read()).equals(body)).toBe(true);
  });

  test('breaks a chunked body without Content-Length: does not end early', async () => {
    handler = (request, response) => {
      if (requests++ > 0) return answer(request, response, { body, etag: '"v1"' });
      response.writeHead(200, { etag: '"v1"' });
      response.write(body.subarray(0, 1_000_000), () => response.destroy());
    };
    await expect(read()).resolves.toHaveLength(body.byteLength);
  });

  test('never gets better: gives up with the reason', async () => {
    handler = (_request, response) => response.writeHead(503).end();
    const events: RetryEvent[] = [];
    const error: unknown = await read(events).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(SourceError);
    expect(String(error)).toMatch(/stopped at byte 0 after 5 failures in a row, the last: the server answered 503; .*DETCO_HTTP_RETRIES/);
    expect(events.map((event) => event.attempt)).toEqual([1, 2, 3, 4]);
  });

  /** Sends bytes of `text` one after the other, for as long as the client stays. */
  function trickle(response: Writable, text: Uint8Array): void {
    let at = 0;
    const drops = setInterval(() => response.write(text.subarray(at, ++at)), 20);
    response.on('close', () => clearInterval(drops)).on('error', () => {});
  }

  test('sends a byte now and then: asks again, and goes on where it was', async () => {
    handler = (request, response) => {
      if (requests++ > 0) return answer(request, response, { body, etag: '"v1"' });
      response.writeHead(200, { 'content-length': body.byteLength, etag: '"v1"' });
      response.write(body.subarray(0, 1_000_000));
      trickle(response, body.subarray(1_000_000));
    };
    const events: RetryEvent[] = [];
    expect((await read(events)).equals(body)).toBe(true);
    expect(events).toHaveLength(1);
    expect(events[0]?.reason).toMatch(/bytes came in 0\.\d s, less than 4096 a second/);
    expect(events[0]?.offset).toBeGreaterThanOrEqual(1_000_000);
  });

  test('sends a byte now and then every time: gives up, although each attempt has brought some', async () => {
    const undo = setEnv({ DETCO_HTTP_RETRIES: '1' });
    handler = (request, response) => {
      const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const range = { 'content-range': `bytes ${from}-${body.byteLength - 1}/${body.byteLength}` };
      response.writeHead(from > 0 ? 206 : 200, { 'content-length': body.byteLength - from, etag: '"v1"', ...(from > 0 && range) });
      trickle(response, body.subarray(from));
    };
    await expect(read()).rejects.toThrow(
      /stopped at byte \d+ after 2 failures in a row, the last: \d+ bytes came in .*less than 4096 a second/,
    );
    undo();
  });

  test('sends an error a byte at a time: gives up', async () => {
    const undo = setEnv({ DETCO_HTTP_RETRIES: '1' });
    handler = (_request, response) => trickle(response.writeHead(403), body);
    await expect(read()).rejects.toThrow(/after 2 failures in a row, the last: .*less than 4096 a second/);
    undo();
  });

  test('sends its headers a byte at a time: gives up', async () => {
    const undo = setEnv({ DETCO_HTTP_RETRIES: '1', DETCO_HTTP_TIMEOUT_MS: '200' });
    const slow = createServer((socket) => {
      socket.on('error', () => {});
      socket.once('data', () => trickle(socket, Buffer.from(`HTTP/1.1 200 OK\r\nX-Long: ${'a'.repeat(10_000)}`)));
    });
    await new Promise<void>((resolve) => slow.listen(0, '127.0.0.1', resolve));
    const { port } = slow.address() as AddressInfo;
    await expect(collect(openShard(`http://127.0.0.1:${port}/x.tar`))).rejects.toThrow(
      /after 2 failures in a row.*UND_ERR_HEADERS_TIMEOUT.*does not answer within 1\.2 s: .*raise DETCO_HTTP_TIMEOUT_MS/,
    );
    undo();
    await closeSources();
    await new Promise((resolve) => slow.close(resolve));
  });

  test('reads the object whole before it answers: is waited for longer than a body that stalls', async () => {
    handler = async (request, response) => {
      if (request.url !== '/x.tar') return response.writeHead(200, { 'content-length': 100 }).write('a');
      // The clock is another read, whose body is silent.
      await stalled(`${server.url}/silent.tar`);
      return answer(request, response, { body, etag: '"v1"' });
    };
    const events: RetryEvent[] = [];
    expect((await read(events)).equals(body)).toBe(true);
    expect(events).toEqual([]);
  });

  test.each([
    ['a part, with the status of a whole object', 200, 1],
    ['all of it, whatever Content-Range says', 200, undefined],
  ])('answers a range with %s: takes what the lengths say', async (_what, status, part) => {
    handler = (request, response) => {
      const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '') ?? [];
      const bytes = part === undefined ? body : body.subarray(Number(first), Number(last) + 1);
      response.writeHead(status, { 'content-length': bytes.byteLength, 'content-range': `bytes ${first}-${last}/${body.byteLength}` });
      response.end(bytes);
    };
    const read = await collect(openShard(`${server.url}/x.tar`, { start: 1000, end: 2_000_000 }));
    expect(read.equals(body.subarray(1000, 2_000_000))).toBe(true);
  });

  test('gives a part from another byte than was asked for: an error', async () => {
    handler = (_request, response) => response.writeHead(200, { 'content-length': 3, 'content-range': 'bytes 7-9/1000' }).end('abc');
    const reading = collect(openShard(`${server.url}/x.tar`, { start: 5, end: 8 }));
    await expect(reading).rejects.toThrow(/asked for bytes from 5, the server sent Content-Range "bytes 7-9\/1000"/);
  });

  test.each(['""', 'W/""'])('has the ETag %s for every object: tells versions apart by Last-Modified', async (etag) => {
    const served = { body, etag, lastModified: new Date(0).toUTCString() };
    serve([served, served]);
    expect((await read()).equals(body)).toBe(true);
    requests = 0;
    serve([served, { ...served, lastModified: new Date(1e9).toUTCString() }]);
    await expect(read()).rejects.toThrow(/Last-Modified/);
    requests = 0;
    serve([
      { body, etag },
      { body, etag },
    ]);
    await expect(read()).rejects.toThrow(/neither ETag nor Last-Modified/);
  });

  test('asks for patience: waits as long as Retry-After says', async () => {
    handler = (request, response) => {
      if (requests++ === 0) response.writeHead(429, { 'retry-after': '1' }).end();
      else answer(request, response, { body, etag: '"v1"' });
    };
    const events: RetryEvent[] = [];
    const began = performance.now();
    await read(events);
    expect(events[0]?.waitMs).toBeGreaterThanOrEqual(1000);
    expect(performance.now() - began).toBeGreaterThanOrEqual(1000);
  });

  test('redirects: follows, and resumes from the first URL', async () => {
    const served = { body, etag: '"v1"' };
    let cuts = 0;
    handler = (request, response) => {
      if (request.url === '/x.tar') response.writeHead(302, { location: `/signed-${cuts}` }).end();
      else answer(request, response, served, cuts++ === 0 ? { cutAfter: 1_000_000 } : {});
    };
    expect((await read()).equals(body)).toBe(true);
    expect(server.requests.slice(-4).map(({ path }) => path)).toEqual(['/x.tar', '/signed-0', '/x.tar', '/signed-1']);
  });

  test.each([
    ['in a circle', () => '/x.tar', /redirects in a circle; check the URL/],
    ['on and on', () => `/${requests++}`, /redirects more than 5 times, or to nowhere \(302\); check the URL/],
  ])('redirects %s: an error', async (_how, next, message) => {
    handler = (_request, response) => response.writeHead(302, { location: next() }).end();
    await expect(read()).rejects.toThrow(message);
  });

  test('is aborted during a pause: ends at once with the reason', async () => {
    handler = (_request, response) => response.writeHead(503, { 'retry-after': '100' }).end();
    const abort = new AbortController();
    const reason = new Error('enough');
    const reading = collect(openShard(`${server.url}/x.tar`, { signal: abort.signal, onRetry: () => abort.abort(reason) }));
    await expect(reading).rejects.toBe(reason);
  });

  test('leaves a slow reader alone: a paused socket is not a stall', async () => {
    handler = (request, response) => {
      if (request.url === '/x.tar') answer(request, response, { body, etag: '"v1"' });
      else response.writeHead(200, { 'content-length': 100 }).write('a');
    };
    const events: RetryEvent[] = [];
    const parts: Uint8Array[] = [];
    for await (const part of openShard(`${server.url}/x.tar`, { onRetry: (event) => events.push(event) })) {
      // The clock is another read, begun after this one has filled its read-ahead, whose server really is silent.
      if (parts.length === 0) await stalled(`${server.url}/silent.tar`);
      parts.push(part);
    }
    expect(Buffer.concat(parts).equals(body)).toBe(true);
    expect(events).toEqual([]);
  });
});

/** Resolves when a read has been found to stall. */
async function stalled(location: string): Promise<void> {
  const abort = new AbortController();
  const reading = collect(openShard(location, { signal: abort.signal, onRetry: (event) => abort.abort(event.reason) }));
  await expect(reading).rejects.toMatch(/UND_ERR_BODY_TIMEOUT/);
}

test('a host that has never answered is given up soon, with a hint', async () => {
  const gone = await startHttp(() => {});
  await gone.close();
  const error: unknown = await collect(openShard(`${gone.url}/x.tar`)).catch((error: unknown) => error);
  expect(String(error)).toMatch(/after 3 failures in a row.*ECONNREFUSED.*check its name and port/);
});

describe('a host name that', () => {
  test('nobody knows is given up soon, with its name', async () => {
    const reading = collect(openShard('http://nowhere.invalid/x.tar'));
    await expect(reading).rejects.toThrow(
      /after 3 failures in a row, the last: .*nowhere\.invalid.*; the host has never answered: check its name/,
    );
  });

  // A namespace with a hosts file of its own needs root; without it the test is reported as skipped.
  const withHosts = mayUnshare() ? test : test.skip;
  withHosts('is lost for a while during the run is asked for again until it is back', async () => {
    const served = { body: body.subarray(0, 100_000), etag: '"v1"' };
    // A connection that stays open would not ask for the name again.
    const server = await startHttp((request, response) => answer(request, response.setHeader('connection', 'close'), served));
    const dir = await mkdtemp(join(tmpdir(), 'detco-hosts-'));
    const hosts = join(dir, 'hosts');
    await writeFile(hosts, '127.0.0.1 shards.test\n');
    await writeFile(join(dir, 'nsswitch'), 'hosts: files\n');
    const program = `
      import { openShard } from ${JSON.stringify(new URL('../../../dist/pipeline/source/index.js', import.meta.url).href)};
      import { once } from 'node:events';
      for (const name of ['a', 'b']) {
        let bytes = 0;
        const onRetry = ({ reason }) => console.log(reason);
        for await (const chunk of openShard('http://shards.test:${new URL(server.url).port}/' + name, { onRetry })) bytes += chunk.length;
        console.log(name, bytes);
        if (name === 'a') await once(process.stdin, 'data');
      }
      process.stdin.destroy();`;
    const mounts = `mount --bind ${hosts} /etc/hosts && mount --bind ${join(dir, 'nsswitch')} /etc/nsswitch.conf`;
    const child = spawn('unshare', ['-m', 'sh', '-c', `${mounts} && exec "$0" --input-type=module --eval "$1"`, process.execPath, program]);
    const lines: string[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line);
      if (line === 'a 100000') await writeFile(hosts, '').then(() => child.stdin.write('go on'));
      else await writeFile(hosts, '127.0.0.1 shards.test\n');
    }
    expect([...new Set(lines)]).toEqual(['a 100000', 'getaddrinfo ENOTFOUND shards.test', 'b 100000']);
    await server.close();
    await rm(dir, { recursive: true });
  });

  function mayUnshare(): boolean {
    return spawnSync('unshare', ['-m', 'mount', '--bind', '/etc/hosts', '/etc/hosts'], { stdio: 'ignore' }).status === 0;
  }
});

test('a login in the URL is sent and never shown', async () => {
  const server = await startHttp((request, response) => {
    const expected = `Basic ${Buffer.from('me:p@ss%').toString('base64')}`;
    if (request.headers.authorization === expected) response.end(body);
    else response.writeHead(401).end();
  });
  const url = (login: string): string => server.url.replace('//', `//${login}@`);
  expect((await collect(openShard(`${url('me:p%40ss%25')}/x.tar`))).equals(body)).toBe(true);
  // As it is typed: what cannot be decoded stands for itself.
  expect((await collect(openShard(`${url('me:p@ss%')}/x.tar`))).equals(body)).toBe(true);
  const error: unknown = await collect(openShard(`${url('me:secret')}/x.tar`)).catch((error: unknown) => error);
  expect(String(error)).toContain(`${server.url} refuses access (401); check the login in the URL`);
  expect(String(error)).not.toContain('secret');
  await closeSources();
  await server.close();
});

test('limits that make no sense are quoted', async () => {
  const undo = setEnv({ DETCO_HTTP_TIMEOUT_MS: 'soon' });
  await expect(collect(openShard('http://127.0.0.1:9/x.tar'))).rejects.toThrow(
    /DETCO_HTTP_TIMEOUT_MS="soon".*expected a whole number from 1/,
  );
  undo();
});
