/** Sends what changes in runs to the pages that are open, and reads the runs only while there are any. */
import type { ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Message, PointsMessage } from './protocol.js';
import type { Cursor } from './series.js';
import type { WatchedRuns } from './watched-runs.js';

/** Between two looks at the files. */
const INTERVAL_MS = 1000;
/** A page reconnects after so long. */
const RETRY_MS = 1000;

interface Page {
  /** What it was sent last of the heads, without the clock. */
  heads: string;
  /** What it has of updates and evaluations, by run. */
  readonly cursors: Map<number, { readonly updates: Cursor; readonly evaluations: Cursor }>;
}

export class Feed {
  readonly #runs: WatchedRuns;
  readonly #pages = new Map<ServerResponse, Page>();
  #running = false;
  #closed = false;

  constructor(runs: WatchedRuns) {
    this.#runs = runs;
  }

  /** Sends to a page until it goes. It gets everything first. */
  add(response: ServerResponse): void {
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    response.write(`retry: ${RETRY_MS}\n\n`);
    const page: Page = { heads: '', cursors: new Map() };
    this.#pages.set(response, page);
    response.on('close', () => this.#pages.delete(response));
    if (!this.#running) void this.#run();
    else this.#send(response, page);
  }

  close(): void {
    this.#closed = true;
    for (const response of this.#pages.keys()) response.end();
  }

  async #run(): Promise<void> {
    this.#running = true;
    let sentAt = -Infinity;
    while (this.#pages.size > 0 && !this.#closed) {
      const more = await this.#runs.refresh();
      if (!more || performance.now() - sentAt >= INTERVAL_MS) {
        for (const [response, page] of this.#pages) this.#send(response, page);
        sentAt = performance.now();
      }
      // Requests have their turn between two pieces of a long file.
      await sleep(more ? 1 : INTERVAL_MS, undefined, { ref: false });
    }
    this.#running = false;
  }

  #send(response: ServerResponse, page: Page): void {
    // It gets what it misses when it has read what it was sent.
    if (response.writableNeedDrain) return;
    const { heads, problems, runs } = this.#runs;
    const state = JSON.stringify({ heads, problems });
    if (state !== page.heads) write(response, { type: 'runs', nowMs: Date.now(), runs: heads, problems });
    page.heads = state;
    for (const [run, { metrics }] of runs.entries()) {
      const known = page.cursors.get(run);
      const updates = metrics.updates.since(known?.updates);
      const evaluations = metrics.evaluations.since(known?.evaluations);
      if (!updates && !evaluations) continue;
      const points: PointsMessage = { type: 'points', run, ...(updates && { updates }), ...(evaluations && { evaluations }) };
      write(response, points);
      page.cursors.set(run, { updates: metrics.updates.cursor, evaluations: metrics.evaluations.cursor });
    }
  }
}

function write(response: ServerResponse, message: Message): void {
  response.write(`data: ${JSON.stringify(message)}\n\n`);
}
