"""How good detections are, by COCO's rules."""

import contextlib
import io

from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


class BoxEval(COCOeval):
    def _prepare(self):
        super()._prepare()  # which sets `ignore` to `iscrowd`
        for truths in self._gts.values():
            for truth in truths:
                truth["ignore"] = truth["iscrowd"] or truth.get("difficult", 0)  # VOC's difficult objects count neither way


def average_precision(coco, detections):
    """AP, AP50 and AP75 in percent, by COCO's rules."""
    names = ("AP", "AP50", "AP75")
    if not detections:  # of which pycocotools makes an IndexError
        return dict.fromkeys(names, 0.0)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = coco
        truth.createIndex()
        evaluation = BoxEval(truth, truth.loadRes(detections), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return {name: 100 * float(value) for name, value in zip(names, evaluation.stats)}
