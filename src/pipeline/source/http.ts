/** Shards behind plain HTTP(S) URLs. */
import type { Headers, Refusal, RemoteRequest } from './answer.js';
import { openRemote } from './cache.js';
import type { RemoteObject } from './remote.js';
import { SourceError, type OpenOptions } from './source.js';

/** Streams the object at an `http(s)://` URL; `user:password@` becomes basic authentication. */
export function openHttp(location: string, options: OpenOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  return openRemote(httpObject(location), options);
}

function httpObject(location: string): RemoteObject {
  const url = parseHttpUrl(location);
  const login = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  const authorization: Headers = login === ':' ? {} : { authorization: `Basic ${Buffer.from(login).toString('base64')}` };
  return {
    location,
    redirects: true,
    request: (headers: Headers): Promise<RemoteRequest> =>
      Promise.resolve({
        origin: url.origin,
        path: url.pathname + url.search,
        headers: { ...headers, ...authorization },
      }),
    refused: (answer) => new SourceError(location, remedy(answer)),
  };
}

/** A URL stands for itself: HTTP has no way to list. */
export function listHttp(location: string): Promise<string[]> {
  parseHttpUrl(location);
  return Promise.resolve([location]);
}

function parseHttpUrl(location: string): URL {
  if (!URL.canParse(location)) throw new SourceError(location, 'is not a URL; expected for example https://host/path/shard-000000.tar');
  return new URL(location);
}

function remedy({ status }: Refusal): string {
  switch (status) {
    case 401:
    case 407:
      return `the server wants a login (${status}); put it in the URL as https://user:password@host/...`;
    case 403:
      return 'the server refuses access (403); check the permission, and if the URL is presigned, make a fresh one';
    case 404:
    case 410:
      return `no such object (${status}); check the URL`;
    case 416:
      return 'the object is shorter than the byte asked for (416); it has changed since it was indexed';
    default:
      return `the server answered ${status}; expected 200 or 206`;
  }
}
