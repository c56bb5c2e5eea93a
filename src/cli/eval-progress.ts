/** How far an evaluation is, in words. */
import type { ProgressOf } from '../eval/index.js';
import { formatDuration } from '../train/duration.js';
import type { Watched } from './watch.js';

/** `training images 640 of ~1248, ETA 3s`, where 1248 is an estimate, or `machines on res5 57 %, ETA 12s` */
export function evalProgress(update: Watched['update']): (progress: ProgressOf) => void {
  let [current, since, before] = ['', 0, 0];
  return ({ work, done, total, estimated = false }) => {
    // When the first piece began is not known: the pace is that of the others.
    if (work !== current) [current, since, before] = [work, performance.now(), done];
    const pace = (done - before) / ((performance.now() - since) / 1000);
    const left = total === undefined ? undefined : Math.max(0, total - done);
    const eta = left === undefined || (left > 0 && !(pace > 0)) ? undefined : left && left / pace;
    const far =
      total === 1
        ? `${Math.round(100 * done)} %`
        : `${done} of ${total === undefined ? '?' : `${estimated ? '~' : ''}${Math.max(total, done)}`}`;
    update(done, Math.max(total ?? 0, done, 1), { text: `${work} ${far}, ETA ${formatDuration(eta)}` });
  };
}
