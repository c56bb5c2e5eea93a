/** How far long work is, for people: a bar on a terminal that can draw a line again, a plain line every few seconds elsewhere. */
import { createRequire } from 'node:module';
import type Bars from 'cli-progress';
import type { SingleBar } from 'cli-progress';
import { barLine } from './bar-line.js';
import { formatDuration } from './duration.js';
import { printable } from './printable.js';

/** Loaded with the first bar: help and errors need none, and are there sooner. */
const loadBars = (): typeof Bars => createRequire(import.meta.url)('cli-progress') as typeof Bars;

/** Between plain lines. */
const LINE_INTERVAL_MS = 5000;
/** Of work that takes longer it is told how long it has taken so far: on a terminal each second, in plain lines each time that has doubled. */
const LONG_WORK_MS = 5000;
const TICK_MS = 1000;

/** A terminal, or what stands for it where there is none. */
export type DisplayStream = NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number };

interface State {
  readonly text: string;
  /** The same in fewer words, the longest first. */
  readonly shorter: readonly string[];
  /** Of the work that is done, 0..1. */
  readonly share: number;
}

interface Work {
  readonly name: string;
  readonly since: number;
  tellAt: number;
}

/**
 * What one process shows on one stream. There is no colour in it. On a terminal the bar is the last line, below all that is printed;
 * `TERM=dumb` is a terminal that cannot draw a line again, and gets plain lines.
 */
export class Display {
  /** Nothing but warnings and errors is shown. */
  quiet = false;
  readonly #stream: DisplayStream;
  readonly #redraws: boolean;
  readonly #now: () => number;
  #bar: SingleBar | undefined;
  #state: State | undefined;
  /** What the bar stands before, the longest first. */
  #texts: readonly string[] = [];
  #lineAt = -Infinity;
  #line = '';
  #work: Work | undefined;
  #ticker: NodeJS.Timeout | undefined;

  /** @param now milliseconds of a clock that is never set */
  constructor(stream: DisplayStream, env: NodeJS.ProcessEnv = process.env, now = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#redraws = stream.isTTY === true && env['TERM'] !== 'dumb';
  }

  /** Work begins that may be short: in plain lines nothing is told of its first seconds. */
  begin(): void {
    this.#lineAt = this.#now();
  }

  /**
   * Shows how far the work is.
   * @param share of it that is done, 0..1; 0 where nobody knows
   * @param shorter texts for terminals that are too narrow for `text`, the longest first
   */
  show(text: string, share: number, shorter: readonly string[] = []): void {
    if (this.quiet) return;
    this.#state = { text, shorter, share: Math.min(1, Math.max(0, share)) };
    if (this.#redraws) return this.#draw([text, ...shorter]);
    const at = this.#now();
    if (at - this.#lineAt < LINE_INTERVAL_MS) return;
    this.#lineAt = at;
    this.error(text);
  }

  /** Tells from now on how long `name` takes, should that be long; '' where nothing is to be told of what follows. */
  work(name: string): void {
    if (this.quiet) return;
    this.#work = name === '' ? undefined : { name, since: this.#now(), tellAt: LONG_WORK_MS };
    // The work keeps the process alive, not its display.
    if (this.#work) this.#ticker ??= setInterval(() => this.#tick(), TICK_MS).unref();
  }

  /** A line that stays. */
  print(line: string): void {
    if (!this.quiet) this.error(line);
  }

  warn(line: string): void {
    this.error(`warning: ${line}`);
  }

  /** A line that stays, and that `quiet` does not silence. */
  error(line: string): void {
    const drawn = this.#bar !== undefined;
    this.#clear();
    this.#line = line;
    this.#stream.write(`${printable(line)}\n`);
    if (drawn && this.#state) this.#draw([this.#state.text, ...this.#state.shorter]);
  }

  /**
   * Ends what is shown of the work, and gives the terminal back as it was. The next work may begin.
   * @param stays whether the last state stays to be read, which it should where work has ended before it was done
   */
  end(stays = false): void {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
    this.#work = undefined;
    const last = this.#state;
    this.#state = undefined;
    this.#lineAt = -Infinity;
    this.#clear();
    if (stays && last && last.text !== this.#line) this.error(last.text);
  }

  /** A bar is started anew after each line above it: where it stood when it was started is where cli-progress ends it. */
  #draw(texts: readonly string[]): void {
    const { share = 0 } = this.#state ?? {};
    this.#texts = texts;
    if (this.#bar) return this.#bar.update(share);
    const { SingleBar } = loadBars();
    this.#bar = new SingleBar({
      stream: this.#stream,
      // At each draw: the terminal may have another width by then.
      format: (_options, { progress }) => barLine(this.#texts, progress, this.#stream.columns),
      hideCursor: true,
      linewrap: false,
      clearOnComplete: true,
      gracefulExit: false,
    });
    this.#bar.start(1, share);
  }

  #clear(): void {
    this.#bar?.stop();
    this.#bar = undefined;
  }

  #tick(): void {
    if (!this.#work) return;
    const { name, since, tellAt } = this.#work;
    const ms = this.#now() - since;
    if (ms < tellAt) return;
    const told = `${name}: ${formatDuration(ms / 1000)} so far`;
    if (this.#redraws) {
      const { text, shorter } = this.#state ?? { shorter: [] };
      return this.#draw([...(text === undefined ? [] : [text, ...shorter].map((one) => `${one}  ${told}`)), told]);
    }
    this.#work.tellAt = 2 * ms;
    this.error(told);
  }
}
