"""`ap50.py FILE`: AP at IoU 0.5 of detections by pycocotools, as the area under its curve, mean over the classes that occur."""

import contextlib
import io
import json
import sys

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

with open(sys.argv[1]) as file:
    case = json.load(file)


def records(images):
    for image, all_of_it in enumerate(images):
        for one in all_of_it:
            left, top, right, bottom = one["box"]
            width, height = right - left, bottom - top
            yield {
                "image_id": image,
                "category_id": one["label"],
                "bbox": [left, top, width, height],
                "area": width * height,
                "iscrowd": 0,
                "score": one.get("score"),
            }


with contextlib.redirect_stdout(io.StringIO()):
    truth = COCO()
    truth.dataset = {
        "images": [{"id": image} for image in range(len(case["objects"]))],
        "categories": [{"id": label} for label in range(case["classes"])],
        "annotations": [{**one, "id": number} for number, one in enumerate(records(case["objects"]), 1)],
    }
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes(list(records(case["found"]))), "bbox")
    evaluation.params.iouThrs = np.array([0.5])
    # Middles of steps, of which each object of a class has equally many: their mean is the area, where the usual 101 points are near it.
    steps = case["steps"]
    evaluation.params.recThrs = (np.arange(steps) + 0.5) / steps
    evaluation.evaluate()
    evaluation.accumulate()

precision = evaluation.eval["precision"][0, :, :, 0, -1]  # [recalls, classes], -1 for a class without objects
print(json.dumps(float(precision[:, precision[0] >= 0].mean())))
