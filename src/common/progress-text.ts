/** How far work is, in words: `verify 640/~1248 samples (51 %)  213 samples/s  ETA 3s`. */
import { joinFields } from './bar-line.js';
import { formatByteSize } from './byte-size.js';
import { formatDuration } from './duration.js';
import { Pace } from './pace.js';

export interface Progress {
  /** The piece of work at hand, where there are several; each has its own pace. */
  readonly work?: string;
  /** Done so far, of `total`; without a unit a total of 1 is a share of work that has no parts to count. */
  readonly done: number;
  /** Undefined where nobody knows. */
  readonly total?: number | undefined;
  /** Whether `total` is an estimate. */
  readonly estimated?: boolean;
  /** What is counted, such as `images`; `bytes` are told in MB and the like. */
  readonly unit?: string;
  /** Of the work that is done, 0..1, where it is not `done / total`. */
  readonly share?: number;
}

export class ProgressText {
  readonly #title: string;
  #work: string | undefined;
  #pace = new Pace();

  constructor(title: string) {
    this.#title = title;
  }

  /**
   * @param at milliseconds of a clock that is never set
   * @returns `shorter`: the text in fewer words, the longest first
   */
  of(
    progress: Progress,
    at: number = performance.now(),
  ): { readonly text: string; readonly share: number; readonly shorter: readonly string[] } {
    const { work = this.#title, done, total, unit, share = total ? Math.min(1, done / total) : 0 } = progress;
    if (work !== this.#work) [this.#work, this.#pace] = [work, new Pace()];
    this.#pace.add(done, share, at);
    const known = total !== undefined || progress.share !== undefined;
    const percent = `${Math.floor(100 * share)} %`;
    const parts = total !== 1 || unit !== undefined;
    const far = parts ? `${countInWords(progress)}${known ? ` (${percent})` : ''}` : percent;
    const { secondsLeft, perSecond } = this.#pace;
    const rate = parts && perSecond !== undefined ? { named: rateInWords(perSecond, unit), bare: bareRate(perSecond, unit) } : undefined;
    const left = secondsLeft === 0 ? undefined : `ETA ${formatDuration(secondsLeft)}`;
    const brief = known ? percent : countInWords({ ...progress, unit: unit === 'bytes' ? unit : undefined });
    return {
      text: joinFields(`${work} ${far}`, rate?.named, left),
      shorter: [
        joinFields(far, rate?.named, left),
        joinFields(brief, rate?.named, left),
        joinFields(brief, rate?.bare, left),
        joinFields(brief, left),
        brief,
      ],
      share,
    };
  }
}

function countInWords({ done, total, estimated = false, unit }: Progress): string {
  if (unit === 'bytes') return total === undefined ? formatByteSize(done) : `${formatByteSize(done)} of ${formatByteSize(total)}`;
  const of = total === undefined ? '' : `/${estimated ? '~' : ''}${Math.max(total, done)}`;
  return `${done}${of}${unit === undefined ? '' : ` ${unit}`}`;
}

/** The rate without what is counted, but for bytes, of which there are kinds. */
const bareRate = (rate: number, unit: string | undefined): string => rateInWords(rate, unit === 'bytes' ? unit : undefined);

function rateInWords(rate: number, unit: string | undefined): string {
  if (unit === 'bytes') return `${formatByteSize(rate)}/s`;
  const number = rate >= 100 ? rate.toFixed(0) : rate >= 10 ? rate.toFixed(1) : rate.toPrecision(2);
  return `${number}${unit === undefined ? '' : ` ${unit}`}/s`;
}
