#!/usr/bin/env python3
"""A COCO folder whose training part is a share of another's: semi-supervised detection with 1, 2, 5 or 10 % of COCO.

    python3 subset.py --data coco --percent 1 --out percent1/coco

Images and the validation part are links. The images of 1 % are among those of 2 % where the seed is the same."""

import argparse
import json
import pathlib
import random

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--data", required=True, type=pathlib.Path)
parser.add_argument("--percent", required=True, type=float)
parser.add_argument("--out", required=True, type=pathlib.Path)
parser.add_argument("--seed", default=0, type=int)
options = parser.parse_args()
if not 0 < options.percent <= 100:
    parser.error(f"--percent {options.percent:g}: expected more than 0 and at most 100")
if options.out.exists():
    parser.error(f"--out {options.out}: is there already")

(options.out / "annotations").mkdir(parents=True)
for file in sorted((options.data / "annotations").glob("*.json")):
    target = options.out / "annotations" / file.name
    if not file.name.startswith("instances_train"):
        target.symlink_to(file.resolve())
        continue
    coco = json.loads(file.read_text())
    order = sorted(image["id"] for image in coco["images"])
    random.Random(options.seed).shuffle(order)
    chosen = set(order[: max(1, round(len(order) * options.percent / 100))])
    coco["images"] = [image for image in coco["images"] if image["id"] in chosen]
    coco["annotations"] = [annotation for annotation in coco["annotations"] if annotation["image_id"] in chosen]
    target.write_text(json.dumps(coco))
    print(f"{target}: {len(coco['images'])} of {len(order)} images, {len(coco['annotations'])} annotations")
for folder in options.data.iterdir():
    if folder.is_dir() and folder.name != "annotations":
        (options.out / folder.name).symlink_to(folder.resolve())
