/** A real static HTTP server for tests: objects in memory, Range, ETag, Last-Modified, and ways to be a bad one. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Served {
  readonly body: Uint8Array;
  readonly etag?: string;
  readonly lastModified?: string;
}

export interface HttpServer {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  /** Every request so far. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined; readonly ifMatch: string | undefined }[];
  /** Connections that a client holds. */
  connections(): Promise<number>;
  close(): Promise<void>;
}

/** Answers one request in full: status, headers, body, or a destroyed socket. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => unknown;

/** Starts a server on a free port of 127.0.0.1 with any handler. */
export async function startHttp(handler: Handler): Promise<HttpServer> {
  const requests: { path: string; range: string | undefined; ifMatch: string | undefined }[] = [];
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? '', range: request.headers.range, ifMatch: request.headers['if-match'] });
    void handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    connections: () => new Promise((resolve, reject) => server.getConnections((error, count) => (error ? reject(error) : resolve(count)))),
    close: () =>
      new Promise((resolve, reject) => {
        server.close((error) => (error ? reject(error) : resolve()));
        server.closeAllConnections();
      }),
  };
}

export interface AnswerOptions {
  /** false: the whole object with 200 whatever Range says. */
  readonly ranges?: boolean;
  /** Break the connection after so many bytes of the body. */
  readonly cutAfter?: number;
}

/** Answers as a static file server does; 404 for undefined. */
export function answer(request: IncomingMessage, response: ServerResponse, served: Served | undefined, options: AnswerOptions = {}): void {
  if (!served) {
    response.writeHead(404, { 'content-type': 'text/plain' }).end('not found');
    return;
  }
  const { body, etag, lastModified } = served;
  const ifMatch = request.headers['if-match'];
  if (ifMatch !== undefined && ifMatch !== etag) {
    response.writeHead(412, { ...(etag !== undefined && { etag }) }).end();
    return;
  }
  const [, first, last] = (options.ranges === false ? undefined : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')) ?? [];
  const start = Number(first ?? 0);
  const end = last ? Math.min(Number(last) + 1, body.byteLength) : body.byteLength;
  if (first !== undefined && start >= body.byteLength) {
    response.writeHead(416, { 'content-range': `bytes */${body.byteLength}` }).end();
    return;
  }
  response.writeHead(first === undefined ? 200 : 206, {
    'content-length': end - start,
    ...(etag !== undefined && { etag }),
    ...(lastModified !== undefined && { 'last-modified': lastModified }),
    ...(first !== undefined && { 'content-range': `bytes ${start}-${end - 1}/${body.byteLength}` }),
  });
  if (options.cutAfter === undefined) response.end(body.subarray(start, end));
  else response.write(body.subarray(start, Math.min(end, start + options.cutAfter)), () => response.destroy());
}

/** Answers with an error as the S3 API reference documents it. */
export function answerError(
  response: ServerResponse,
  error: { readonly status: number; readonly code: string; readonly more?: string },
): void {
  const { status, code, more = '' } = error;
  const xml = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${code} it is.</Message>${more}<RequestId>1</RequestId></Error>`;
  response.writeHead(status, { 'content-type': 'application/xml' }).end(xml);
}
