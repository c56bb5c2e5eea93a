/**
 * `detco train --prometheus`: metrics for Prometheus for as long as a run takes. They are served in the thread that has the signals, so they
 * are there however long an update keeps the one that trains.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { z } from 'zod';
import { listen } from '../common/listen.js';
import { CONTENT_TYPE, exposition } from '../train/log/prometheus-text.js';
import type { TrainHooks } from '../train/hooks.js';
import { RunMetrics } from '../train/log/run-metrics.js';
import { asUsageError } from './usage-error.js';

const PATH = '/metrics';
/** `:9400`, `9400`, `0.0.0.0:9400`, `[::]:9400` */
const ADDRESS = /^(?:(\[[0-9a-f:.]+\]|[^:[\]\s]*):)?(\d{1,5})$/i;

interface Address {
  readonly host: string;
  readonly port: number;
}

export const prometheusAddress = z.string().transform((text, context): Address => {
  const [, host = '', digits] = ADDRESS.exec(text) ?? [];
  const port = Number(digits ?? NaN);
  if (!(port <= 65_535))
    context.addIssue({
      code: 'custom',
      message: 'expected [HOST]:PORT with a port 0..65535; give for example --prometheus :9400, or 0.0.0.0:9400 for other machines',
    });
  return { host: host.replaceAll(/[[\]]/g, '') || '127.0.0.1', port };
});

export interface Exporter {
  /** Where the metrics are. */
  readonly url: string;
  /** Hooks of a run that tell the metrics, too. */
  listening(hooks: TrainHooks): TrainHooks;
  close(): Promise<void>;
}

/** @throws UsageError in words where the port cannot be listened on, before anything is trained */
export async function exportMetrics({ host, port }: Address): Promise<Exporter> {
  const metrics = new RunMetrics();
  const server = createServer((request, response) => answer(request, response, metrics));
  const bound = await listen(server, port, host).catch(asUsageError('ListenError'));
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${bound}${PATH}`,
    listening: (hooks) => metrics.listening(hooks),
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

function answer({ method, url = '/' }: IncomingMessage, response: ServerResponse, metrics: RunMetrics): void {
  const [status, type, text] =
    method !== 'GET' && method !== 'HEAD'
      ? [405, 'text/plain; charset=utf-8', 'This server only reads.\n']
      : url.split('?')[0] === PATH
        ? [200, CONTENT_TYPE, exposition(metrics.families())]
        : [404, 'text/plain; charset=utf-8', `There is nothing here; metrics are at ${PATH}.\n`];
  response
    .writeHead(status, { 'content-type': type, 'cache-control': 'no-store', ...(status === 405 && { allow: 'GET, HEAD' }) })
    .end(text);
}
