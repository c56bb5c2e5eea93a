/** The web server of `detco watch`: a page, its files, what changes as server-sent events, pictures of views. It only reads. */
import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { listen } from '../common/listen.js';
import { Feed } from './feed.js';
import { Gate } from './gate.js';
import { DEFAULT_PORT } from './port.js';
import { WatchedRuns } from './watched-runs.js';

/** Files of the page, by route. */
const FILES = {
  '/': ['index.html', 'text/html; charset=utf-8'],
  '/main.js': ['main.js', 'text/javascript; charset=utf-8'],
  '/main.css': ['main.css', 'text/css; charset=utf-8'],
  '/icon.svg': ['icon.svg', 'image/svg+xml'],
} as const;

const HEADERS = {
  'content-security-policy': "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

const VIEWS = /^\/views\/(\d{1,6})\.png$/;

export interface WatchServerOptions {
  /** Runs, or folders of runs. */
  readonly folders: readonly string[];
  /** 0 is any that is free. Default 8265. */
  readonly port?: number;
  /** Name or address to listen on. Any that is not loopback asks for a token. Default 127.0.0.1. */
  readonly host?: string;
}

export interface WatchServer {
  /** Where a browser finds the page, with the token where one is asked for. */
  readonly url: string;
  /** Ends connections, too. */
  close(): Promise<void>;
}

/** Serves a page over runs. @throws ListenError in words, such as of a port that is taken */
export async function serveWatch({ folders, port = DEFAULT_PORT, host = '127.0.0.1' }: WatchServerOptions): Promise<WatchServer> {
  const runs = new WatchedRuns(folders);
  const feed = new Feed(runs);
  let gate: Gate | undefined;
  const server = createServer((request, response) => {
    if (gate) answer(request, response, { gate, feed, runs }).catch(() => refuse(response, 500, 'The page is not where it was installed.'));
  });
  const bound = await listen(server, port, host);
  gate = new Gate(host, bound);
  const shownHost = host.includes(':') ? `[${host}]` : host;
  return {
    url: `http://${shownHost}:${bound}/${gate.token === undefined ? '' : `?token=${gate.token}`}`,
    close: async () => {
      feed.close();
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

interface Served {
  readonly gate: Gate;
  readonly feed: Feed;
  readonly runs: WatchedRuns;
}

async function answer(request: IncomingMessage, response: ServerResponse, { gate, feed, runs }: Served): Promise<void> {
  for (const [name, value] of Object.entries(HEADERS)) response.setHeader(name, value);
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return refuse(response.setHeader('allow', 'GET, HEAD'), 405, 'This server only reads.');
  const verdict = gate.judge(request);
  if (verdict === 'wrong host') return refuse(response, 403, 'This server answers to localhost, 127.0.0.1 and [::1] alone.');
  if (verdict === 'no token') return refuse(response, 403, 'Open the address that detco printed, with its ?token=.');
  if (verdict === 'set-cookie') {
    response.writeHead(303, { location: '/', 'set-cookie': gate.setCookie, 'cache-control': 'no-store' }).end();
    return undefined;
  }
  const path = (request.url ?? '/').split('?')[0] as string;
  if (path === '/events') return request.method === 'HEAD' ? void response.end() : feed.add(response);
  const views = VIEWS.exec(path)?.[1];
  if (views !== undefined) {
    const run = runs.runs[Number(views)];
    return sendViews(response, run?.head.viewsMs === undefined ? undefined : run.viewsPath);
  }
  if (!Object.hasOwn(FILES, path)) return refuse(response, 404, 'There is nothing here; the page is at /.');
  const [file, type] = FILES[path as keyof typeof FILES];
  response
    .writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' })
    .end(readFileSync(new URL(`page/${file}`, import.meta.url)));
  return undefined;
}

async function sendViews(response: ServerResponse, path: string | undefined): Promise<void> {
  const picture = path === undefined ? undefined : await readFile(path).catch(() => undefined);
  if (picture === undefined) return refuse(response, 404, 'This run has no views.png.');
  response.writeHead(200, { 'content-type': 'image/png', 'cache-control': 'no-cache' }).end(picture);
  return undefined;
}

function refuse(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'cache-control': 'no-store' }).end(`${text}\n`);
}
