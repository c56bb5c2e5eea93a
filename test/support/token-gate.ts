/**
 * What an S3 server does about sessions and s3rver does not: it refuses a session token once another has been issued. Requests
 * with the valid one go on to the server behind, which checks the signature over it.
 */
import { request as forward } from 'node:http';
import { answerError, type HttpServer, startHttp } from './http.js';

export interface TokenGate extends HttpServer {
  /** Requests refused for their token. */
  readonly refused: () => number;
}

export interface TokenGateOptions {
  /** `http://host:port` of the server behind. */
  readonly target: string;
  /** The only token that is accepted; called once a request, so it may renew it. */
  readonly valid: () => Promise<string>;
  readonly error?: { readonly status: number; readonly code: string };
  /** Bytes of a body after which the connection is cut, for request `n`; whole if undefined. */
  readonly cutAfter?: (n: number) => number | undefined;
}

export async function startTokenGate({
  target,
  valid,
  cutAfter,
  error = { status: 400, code: 'ExpiredToken' },
}: TokenGateOptions): Promise<TokenGate> {
  let refused = 0;
  let count = 0;
  const server = await startHttp(async (request, response) => {
    const cut = cutAfter?.(count++);
    if (request.headers['x-amz-security-token'] !== (await valid())) {
      refused++;
      answerError(response, error);
      return;
    }
    const upstream = forward(target + request.url, { method: request.method ?? 'GET', headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      if (cut === undefined) answer.pipe(response);
      else answer.once('data', (chunk: Buffer) => response.write(chunk.subarray(0, cut), () => response.destroy()));
    });
    upstream.on('error', () => response.destroy());
    response.on('close', () => upstream.destroy());
    request.pipe(upstream);
  });
  return { ...server, refused: () => refused };
}
