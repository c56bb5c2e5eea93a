"""`oracle.py DATA`: the AP of detections that are the truth itself, and the first picture of the training part as a detector gets it."""

import json
import sys

sys.path.insert(0, "downstream")
from data import Pictures, read_data
from precision import average_precision


def detections_of(pictures):
    categories = {label: category for category, label in pictures.labels.items()}
    for index, image in enumerate(pictures.images):
        _, target = pictures[index, False]
        for (left, top, right, bottom), label in zip(target["boxes"].tolist(), target["labels"].tolist()):
            bbox = [left, top, right - left, bottom - top]
            yield {"image_id": image["id"], "category_id": categories[label], "bbox": bbox, "score": 0.9}


def as_detection(truth):
    """None for a difficult object."""
    return None if truth.get("difficult") else {**{name: truth[name] for name in ("image_id", "category_id", "bbox")}, "score": 0.9}


def white_box(picture):
    """-> left, top, right, bottom of what is white, if anything is"""
    rows, columns = (picture.min(0).values > 0.5).nonzero(as_tuple=True)
    return len(rows) and [columns.min().item(), rows.min().item(), columns.max().item() + 1, rows.max().item() + 1]


kind, train, test = read_data(sys.argv[1])
learned, tested = Pictures(train, train=True), Pictures(test, train=False)
views = {
    name: {"box": target["boxes"][0].tolist(), "white": white_box(picture)}
    for name, (picture, target) in (("plain", learned[0, False]), ("mirrored", learned[0, True]))
}
print(
    json.dumps(
        {
            "kind": kind,
            "categories": [category["name"] for category in train["categories"]],
            "trained": len(learned),
            "tested": len(tested),
            "perfect": average_precision(test, list(detections_of(tested))),
            "sure": average_precision(test, list(filter(None, map(as_detection, test["annotations"])))),
            "none": average_precision(test, []),
            **views,
        }
    )
)
