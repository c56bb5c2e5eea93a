"""What a detector learns from and is tested on. A COCO folder, VOC folders and shards with boxes all become COCO's
dictionary, in which each image says where its bytes lie."""

import collections
import io
import json
import pathlib
import tarfile
from xml.etree import ElementTree

import torch
from PIL import Image
from torchvision.transforms.functional import to_tensor

PICTURES = ("jpg", "jpeg", "png", "webp")


class DataError(Exception):
    """Data that cannot be used; the message says where, and what was expected."""


def read_data(folder):
    """-> kind, training part, test part"""
    folder = pathlib.Path(folder)
    if (folder / "annotations").is_dir():
        return "coco", read_coco(folder, "train"), read_coco(folder, "val")
    for devkit in (folder, folder / "VOCdevkit"):
        if any(devkit.glob("*/ImageSets/Main/trainval.txt")):
            return "voc", *read_voc(devkit)
    if any(folder.glob("train-*.tar")):
        return "shards", *read_shards(folder)
    raise DataError(
        f"--data {str(folder)!r}: expected a COCO folder (annotations/instances_train*.json), VOC folders "
        "(VOC2007/ImageSets/Main/trainval.txt), or shards with boxes (train-*.tar and val-*.tar, as detco synth writes)"
    )


def read_coco(folder, part):
    """`part` train or val, of any year: annotations/instances_train2017.json tells of the images in train2017/."""
    files = sorted((folder / "annotations").glob(f"instances_{part}*.json"))
    if len(files) != 1:
        found = ", ".join(file.name for file in files) or "none"
        raise DataError(f"{folder}/annotations: expected one file instances_{part}*.json, found {found}")
    coco = json.loads(files[0].read_text())
    pictures = folder / files[0].stem[len("instances_") :]
    for image in coco["images"]:
        image["path"] = str(pictures / image["file_name"])
    return prepared(coco, files[0])


def read_voc(devkit):
    """Trains on all of `trainval`, such as 2007's and 2012's, and tests on each `test` that has annotations: 2007's."""
    train = sorted(devkit.glob("*/ImageSets/Main/trainval.txt"))
    test = [ids for ids in sorted(devkit.glob("*/ImageSets/Main/test.txt")) if any(file.exists() for file in annotation_files(ids))]
    parts = [[read_voc_image(file) for ids in lists for file in annotation_files(ids)] for lists in (train, test)]
    names = sorted({name for part in parts for _, boxes in part for name, _ in boxes})
    ids_of = {name: n for n, name in enumerate(names, 1)}
    return [
        prepared(
            {
                "categories": [{"id": ids_of[name], "name": name} for name in names],
                "images": [{"id": number, **image} for number, (image, _) in enumerate(part)],
                "annotations": [
                    {"image_id": number, "category_id": ids_of[name], **box} for number, (_, boxes) in enumerate(part) for name, box in boxes
                ],
            },
            f"{devkit}/*/ImageSets/Main/{which}.txt",
        )
        for which, part in (("trainval", parts[0]), ("test", parts[1]))
    ]


def annotation_files(ids):
    year = ids.parents[2]
    return [year / "Annotations" / f"{line.split()[0]}.xml" for line in ids.read_text().splitlines() if line.strip()]


def read_voc_image(file):
    """-> image, (name, box) of each object. VOC counts pixels from 1 and includes the last one."""
    root = ElementTree.parse(file).getroot()
    boxes = []
    for thing in root.findall("object"):
        left, top, right, bottom = (float(thing.findtext(f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax"))
        box = {"bbox": [left - 1, top - 1, right - left + 1, bottom - top + 1], "difficult": int(thing.findtext("difficult") or 0)}
        boxes.append((thing.findtext("name"), box))
    width, height = (int(root.findtext(f"size/{side}")) for side in ("width", "height"))
    path = file.parents[1] / "JPEGImages" / root.findtext("filename")
    return {"path": str(path), "width": width, "height": height}, boxes


def read_shards(folder):
    """KEY.json beside KEY.jpg has `boxes` of x, y, width, height (pixels) and `label` (from 0)."""
    patterns = ("train-*.tar", "val-*.tar")
    parts = [[sample for file in sorted(folder.glob(pattern)) for sample in read_shard(file)] for pattern in patterns]
    names = {}
    for record, _ in parts[0] + parts[1]:
        if "class" in record:
            names[record["label"]] = record["class"]
        for box in record["boxes"]:
            names.setdefault(box["label"], str(box["label"]))
    return [
        prepared(
            {
                "categories": [{"id": label + 1, "name": names[label]} for label in sorted(names)],
                "images": [
                    {"id": number, "width": record["width"], "height": record["height"], **place}
                    for number, (record, place) in enumerate(part)
                ],
                "annotations": [
                    {"image_id": number, "category_id": box["label"] + 1, "bbox": [box["x"], box["y"], box["width"], box["height"]]}
                    for number, (record, _) in enumerate(part)
                    for box in record["boxes"]
                ],
            },
            folder / pattern,
        )
        for pattern, part in zip(patterns, parts)
    ]


def read_shard(file):
    """-> what each KEY.json holds, with where its picture lies"""
    samples = collections.defaultdict(dict)
    with tarfile.open(file) as shard:
        for member in shard:
            folder, _, base = member.name.rpartition("/")
            key, _, field = base.partition(".")
            if field == "json":
                samples[folder, key]["record"] = json.load(shard.extractfile(member))
            elif field in PICTURES:
                samples[folder, key]["place"] = {"path": str(file), "offset": member.offset_data, "bytes": member.size}
    for (_, key), sample in samples.items():
        if "boxes" not in sample.get("record", ()):
            raise DataError(f"{file}: {key} has no boxes: expected {key}.json with boxes beside the picture, as detco synth writes")
        if "place" in sample:
            yield sample["record"], sample["place"]


def prepared(coco, where):
    """Fills in what pycocotools asks for. It takes an annotation with id 0 for none, so ids are from 1."""
    if not coco["annotations"]:
        raise DataError(f"{where}: holds no boxes")
    for number, annotation in enumerate(coco["annotations"], 1):
        _, _, width, height = annotation["bbox"]
        annotation["id"] = number
        annotation.setdefault("area", width * height)
        annotation.setdefault("iscrowd", 0)
    return coco


class Pictures(torch.utils.data.Dataset):
    """Items are (index, mirrored): whoever asks draws the random numbers, so they do not depend on the workers.

    Gives a picture, [3,H,W] in 0..1, and its target: boxes [n,4] as left, top, right, bottom, and labels [n] from 1."""

    def __init__(self, coco, train):
        self.labels = {category["id"]: label for label, category in enumerate(coco["categories"], 1)}
        self.boxes = collections.defaultdict(list)
        for annotation in coco["annotations"]:
            _, _, width, height = annotation["bbox"]
            if not annotation["iscrowd"] and width > 0 and height > 0:
                self.boxes[annotation["image_id"]].append(annotation)
        # An image without a box teaches only what is background; Detectron2 leaves it out too.
        self.images = [image for image in coco["images"] if not train or image["id"] in self.boxes]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, item):
        index, mirrored = item
        image = self.images[index]
        picture = to_tensor(open_picture(image))
        annotations = self.boxes.get(image["id"], [])
        boxes = torch.tensor([a["bbox"] for a in annotations], dtype=torch.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        if mirrored:
            picture = picture.flip(-1)
            boxes[:, [0, 2]] = picture.shape[-1] - boxes[:, [2, 0]]
        labels = torch.tensor([self.labels[a["category_id"]] for a in annotations], dtype=torch.int64)
        return picture, {"boxes": boxes, "labels": labels}


def open_picture(image):
    with open(image["path"], "rb") as file:
        file.seek(image.get("offset", 0))
        return Image.open(io.BytesIO(file.read(image.get("bytes", -1)))).convert("RGB")
