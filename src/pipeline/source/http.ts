/** Shards behind plain HTTP(S) URLs. */
import type { Headers, Refusal, RemoteRequest } from './answer.js';
import { openRemote } from './cache.js';
import { MOST_REDIRECTS } from './connection.js';
import { environmentHeaders, isHub } from './environment-headers.js';
import { decoded } from './identity.js';
import { askRemote, kindOf, type RemoteObject } from './remote.js';
import { type FoundShard, SourceError, type OpenOptions } from './source.js';

/** Streams the object at an `http(s)://` URL; `user:password@` becomes basic authentication. */
export function openHttp(location: string, options: OpenOptions = {}): AsyncGenerator<Uint8Array, void, undefined> {
  return openRemote(httpObject(location), options);
}

/** Size and version of an object, for the price of a byte. */
export function askHttp(location: string, options: OpenOptions = {}): Promise<FoundShard> {
  return askRemote(httpObject(location), options);
}

function httpObject(location: string): RemoteObject {
  const url = parseHttpUrl(location);
  const login = `${decoded(url.username)}:${decoded(url.password)}`;
  // Read here for its errors; each hop gets its own.
  environmentHeaders(url.origin);
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
    refused: (answer) =>
      new SourceError(location, remedy(answer, { login: login !== ':' && answer.origin === url.origin }), { kind: kindOf(answer.status) }),
  };
}

/** A URL stands for itself: HTTP has no way to list. */
export function listHttp(location: string): Promise<FoundShard[]> {
  parseHttpUrl(location);
  return Promise.resolve([{ location }]);
}

const SET_TOKEN = 'set DETCO_HTTP_HEADERS to';

function hubRemedy(origin: string, said: string, sent: boolean): string {
  const token = sent
    ? 'the token is not accepted: check that HF_TOKEN may read this set'
    : 'set HF_TOKEN to a token that may read this set';
  return `${origin} refuses access ${said}; ${token} (${origin}/settings/tokens), and accept the terms of a gated set on its page`;
}

function parseHttpUrl(location: string): URL {
  if (!URL.canParse(location))
    throw new SourceError(location, 'is not a URL; expected for example https://host/path/shard-000000.tar', { kind: 'malformed' });
  return new URL(location);
}

/** @param login whether the request had one from the URL */
function remedy({ origin, status, headers }: Refusal, { login }: { readonly login: boolean }): string {
  switch (status) {
    case 401:
    case 403: {
      // Hugging Face says GatedRepo or RepoNotFound.
      const said = `(${[status, headers['x-error-code']].filter(Boolean).join(' ')})`;
      const own = environmentHeaders(origin);
      if (!login && isHub(origin)) return hubRemedy(origin, said, 'authorization' in own);
      if (login || Object.keys(own).length > 0) {
        const from = login ? 'the login in the URL' : 'the headers that DETCO_HTTP_HEADERS has for it';
        return `${origin} refuses access ${said}; check ${from}, and that it permits this`;
      }
      return status === 401
        ? `${origin} wants a login ${said}; ${SET_TOKEN} "${origin} Authorization: Bearer TOKEN", or put user:password@ before the host in the URL`
        : `${origin} refuses access ${said}; if the URL is presigned, make a fresh one; if it wants a token, ${SET_TOKEN} "${origin} Authorization: Bearer TOKEN"`;
    }
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return `the server redirects more than ${MOST_REDIRECTS} times, or to nowhere (${status}); check the URL`;
    case 404:
    case 410:
      return `no such object (${status}); check the URL`;
    case 416:
      return 'the object is shorter than the byte asked for (416); it has changed since it was indexed';
    default:
      return `the server answered ${status}; expected 200 or 206`;
  }
}
