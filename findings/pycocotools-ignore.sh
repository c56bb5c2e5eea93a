#!/bin/sh
# Subject: pycocotools 2.0.11 (PyPI), the evaluation of COCO's average precision, on ground truth with objects that are not to count.
#
# Its matching reads gt['ignore'], as its MATLAB original does, and says in a comment that ignored objects cost a detector nothing. One would
# guess that an annotation with "ignore": 1, such as one of VOC's difficult objects, is left out.
#
# Seen: COCOeval overwrites "ignore" of each annotation with its "iscrowd" before it looks. A difficult object that no detector
# finds halves the AP of a perfect one (50.5 in place of 100). With "iscrowd": 1 it is left out, but then one ground truth box may
# match several detections. What works is to set "ignore" again once COCOeval has prepared its ground truth (`_prepare`).
#
# Exits with 1 when that is no longer so.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check pycocotools==2.0.11
cd "$dir"
cat > ap.py <<'PYTHON'
import contextlib, io, sys
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

def ap(**flags):
    """AP of a detector that finds the easy one of two objects."""
    truth = COCO()
    box = {'image_id': 1, 'category_id': 1, 'area': 400.0}
    easy = {'id': 1, 'bbox': [10.0, 10.0, 20.0, 20.0], 'iscrowd': 0, **box}
    difficult = {'id': 2, 'bbox': [60.0, 60.0, 20.0, 20.0], 'iscrowd': 0, **box, **flags}
    truth.dataset = {'info': {}, 'images': [{'id': 1}], 'categories': [{'id': 1, 'name': 'cat'}], 'annotations': [easy, difficult]}
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes([{'image_id': 1, 'category_id': 1, 'bbox': easy['bbox'], 'score': 0.9}])
        evaluation = COCOeval(truth, found, 'bbox')
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return round(100 * evaluation.stats[0], 1)

seen = {name: ap(**flags) for name, flags in {'nothing said': {}, 'ignore 1': {'ignore': 1}, 'iscrowd 1': {'iscrowd': 1}}.items()}
for name, value in seen.items():
    print(f'the object that is not found has {name}: AP {value}')
sys.exit(seen != {'nothing said': 50.5, 'ignore 1': 50.5, 'iscrowd 1': 100.0})
PYTHON
"$dir/env/bin/python" ap.py
