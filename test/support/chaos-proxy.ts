/**
 * A real HTTP proxy that stands for a hostile network. It passes requests on unchanged (the Host header too, so S3
 * signatures stay valid) and spoils answers at random, repeatably for a seed.
 *
 *     const chaos = await startChaosProxy({ target: s3.endpoint, seed: 1, drop: 0.3, stall: 0.05, error503: 0.1 });
 *     setEnv({ ...s3.env, AWS_ENDPOINT_URL: chaos.url, DETCO_HTTP_TIMEOUT_MS: '500' });
 *     ... read ...
 *     expect(chaos.counters.dropped).toBeGreaterThan(0);
 *     await chaos.close();
 */
import { createServer, request as forward, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Random } from '#dist/common/random.js';

export interface ChaosOptions {
  /** `http://host:port` of the server behind. */
  readonly target: string;
  readonly seed: number;
  /** Probability that the connection is cut in mid-body: by FIN or by RST, in turn. */
  readonly drop?: number;
  /** Probability that the body stops in its middle and the connection stays open until the client leaves. */
  readonly stall?: number;
  /** Probability that the body goes on, from its middle, a byte at a time and for ever. */
  readonly trickle?: number;
  /** Probability of an answer 503 with Retry-After, without asking the target. */
  readonly error503?: number;
  /** Seconds in Retry-After; 0 unless told. */
  readonly retryAfter?: number;
  /** A drop, stall or trickle comes after a number of body bytes below this (and below the body's length); 1 MiB unless told. */
  readonly withinBytes?: number;
}

export interface ChaosCounters {
  requests: number;
  dropped: number;
  stalled: number;
  trickled: number;
  refused: number;
  /** Answers passed on whole. */
  clean: number;
}

export interface ChaosProxy {
  /** `http://127.0.0.1:port`, to use in place of the target. */
  readonly url: string;
  readonly counters: Readonly<ChaosCounters>;
  /** Connections that a client holds. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

export async function startChaosProxy(options: ChaosOptions): Promise<ChaosProxy> {
  const { target, seed, drop = 0, stall = 0, trickle = 0, error503 = 0, retryAfter = 0, withinBytes = 1 << 20 } = options;
  const random = new Random(seed);
  const counters: ChaosCounters = { requests: 0, dropped: 0, stalled: 0, trickled: 0, refused: 0, clean: 0 };

  const server = createServer((request, response) => {
    counters.requests++;
    const luck = random.uniform();
    const place = random.uniform();
    if (luck < error503) {
      counters.refused++;
      response.writeHead(503, { 'retry-after': String(retryAfter), 'content-type': 'text/plain' }).end('Slow Down');
      return;
    }
    const kinds = [
      ['drop', drop],
      ['stall', stall],
      ['trickle', trickle],
    ] as const;
    let below = error503;
    const spoil = kinds.find(([, probability]) => luck < (below += probability))?.[0];
    const upstream = forward(target + request.url, { method: request.method ?? 'GET', headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers).flushHeaders();
      if (spoil === undefined) {
        answer.pipe(response);
        answer.on('end', () => counters.clean++);
      } else {
        const length = Math.min(withinBytes, Number(answer.headers['content-length'] ?? withinBytes));
        spoilAfter(Math.floor(place * length), answer, response, spoil);
      }
    });
    upstream.on('error', () => response.destroy());
    // A client that leaves takes its upstream request with it.
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });

  function spoilAfter(bytes: number, answer: IncomingMessage, response: ServerResponse, kind: 'drop' | 'stall' | 'trickle'): void {
    let left = kind === 'trickle' ? Math.max(1, bytes) : bytes;
    let rest: Buffer = Buffer.alloc(0);
    const spoil = (): void => {
      answer
        .off('data', pass)
        .on('error', () => {})
        .destroy();
      if (kind === 'trickle' && rest.byteLength > 0) trickleOn();
      else if (kind !== 'drop') counters.stalled++;
      else if (counters.dropped++ % 2 === 0) response.destroy();
      else response.socket?.resetAndDestroy();
    };
    const trickleOn = (): void => {
      counters.trickled++;
      const drops = setInterval(() => {
        response.write(rest.subarray(0, 1));
        rest = rest.subarray(1);
      }, 10);
      response.on('close', () => clearInterval(drops));
    };
    const pass = (chunk: Buffer): void => {
      const part = chunk.subarray(0, left);
      rest = chunk.subarray(left);
      left -= part.byteLength;
      if (left > 0) {
        if (!response.write(part)) {
          answer.pause();
          response.once('drain', () => answer.resume());
        }
      } else if (part.byteLength > 0) {
        // Flushed first, so that the client has these bytes and the fault is in mid-body.
        answer.pause();
        response.write(part, spoil);
      }
    };
    if (left > 0) answer.on('data', pass);
    else response.write('', spoil);
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    counters,
    connections: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}
