/** Average precision of detections at an IoU of 0.5: area under the curve, as VOC 2010 and later, mean over classes. */
import { areaUnderCurve, cuts } from '../../dist/eval/average-precision.js';
import { overlap } from './boxes.mjs';

const IOU = 0.5;

/** Of boxes of one class in one image, those that overlap with no better one by more than 0.5. */
export function suppress(detections) {
  const kept = [];
  for (const one of detections.toSorted((a, b) => b.score - a.score))
    if (kept.every((better) => better.label !== one.label || overlap(better.box, one.box) <= IOU)) kept.push(one);
  return kept;
}

/**
 * @param found detections { label, score, box } of each image
 * @param objects { label, box } of each image
 * @returns [0, 1]; classes without an object are left out
 */
export function meanAp50(found, objects, classes) {
  const each = [];
  for (let label = 0; label < classes; label++) {
    const there = objects.map((all) => all.filter((one) => one.label === label).map(({ box }) => ({ box, taken: false })));
    const total = there.flat().length;
    if (total === 0) continue;
    const ranked = found
      .flatMap((all, image) => all.filter((one) => one.label === label).map(({ box, score }) => ({ box, score, image })))
      .toSorted((a, b) => b.score - a.score);
    const right = ranked.map(({ box, image }) => take(there[image], box));
    const ranking = cuts(
      ranked.map(({ score }) => score),
      right,
    );
    // The curve of `cuts` ends at the objects that were found; recall is a share of all.
    const recall = (ranking.at(-1)?.right ?? 0) / total;
    each.push(recall === 0 ? 0 : recall * areaUnderCurve(ranking));
  }
  return each.reduce((sum, one) => sum + one, 0) / each.length;
}

/** Whether a box finds an object that no better one has found. */
function take(objects, box) {
  let best;
  for (const object of objects)
    if (!object.taken && overlap(object.box, box) >= IOU) best = best && overlap(best.box, box) >= overlap(object.box, box) ? best : object;
  if (best) best.taken = true;
  return best !== undefined;
}
