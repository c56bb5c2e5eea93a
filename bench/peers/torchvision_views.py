#!/usr/bin/env python3
# The yardstick of bench/pipeline.mjs, written by detco's authors as a user of torchvision would write it: the recipe's operations
# and their probabilities, PIL decoding, a DataLoader with worker processes. It follows torchvision where that differs from
# detco: RandAugment is torchvision's and comes before the colour operations, and there is no shuffle buffer.
"""What a user would pick instead of this pipeline: PyTorch DataLoader + torchvision over the same tar shards.

Needs python3-torch, python3-torchvision, python3-pil (Debian packages).

    torchvision_views.py SHARD.tar [SHARD.tar ...] [--workers 2] [--batch 32] [--seconds 20] [--randaugment]

Reads WebDataset-style shards (jpg members), decodes with PIL, makes two global and two 3x3 jigsaw sets an
image (the DetCo recipe), collates uint8 batches, and prints one JSON line with images a second.
`--stage decode` stops after the JPEG decode: the floor no pipeline on this decoder gets under.
"""
import argparse, io, json, random, tarfile, time
import torch
from PIL import Image, ImageFilter
import torchvision.transforms as T
from torch.utils.data import DataLoader, IterableDataset, get_worker_info


class Blur:
    def __call__(self, im):
        return im.filter(ImageFilter.GaussianBlur(radius=random.uniform(0.1, 2.0)))


PHOTO = [T.RandomApply([T.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8), T.RandomGrayscale(0.2), T.RandomApply([Blur()], p=0.5), T.RandomHorizontalFlip()]


class Views(IterableDataset):
    def __init__(self, shards, randaugment, stage):
        self.shards, self.stage = shards, stage
        self.g = T.Compose([T.RandomResizedCrop(224, scale=(0.2, 1.0)), *([T.RandAugment(2, 10)] if randaugment else []), *PHOTO, T.PILToTensor()])
        self.l = T.Compose([T.RandomResizedCrop(255, scale=(0.6, 1.0)), *PHOTO, T.PILToTensor()])
        self.cut = T.RandomCrop(64)

    def jigsaw(self, im):
        x = self.l(im)
        p = [self.cut(x[:, r * 85:(r + 1) * 85, c * 85:(c + 1) * 85]) for r in range(3) for c in range(3)]
        random.shuffle(p)
        return torch.stack(p)

    def __iter__(self):
        info = get_worker_info()
        mine = self.shards[info.id::info.num_workers] if info else self.shards
        while True:
            for path in mine:
                with tarfile.open(path, "r|*") as tar:
                    for m in tar:
                        if not m.name.lower().endswith((".jpg", ".jpeg")):
                            continue
                        im = Image.open(io.BytesIO(tar.extractfile(m).read())).convert("RGB")
                        if self.stage == "decode":
                            yield torch.zeros(1)
                        else:
                            yield self.g(im), self.g(im), self.jigsaw(im), self.jigsaw(im)


if __name__ == "__main__":
    p = argparse.ArgumentParser()
    p.add_argument("shards", nargs="+"); p.add_argument("--workers", type=int, default=2); p.add_argument("--batch", type=int, default=32)
    p.add_argument("--seconds", type=float, default=20); p.add_argument("--randaugment", action="store_true"); p.add_argument("--stage", choices=["views", "decode"], default="views")
    a = p.parse_args()
    torch.set_num_threads(1)
    it = iter(DataLoader(Views(a.shards, a.randaugment, a.stage), batch_size=a.batch, num_workers=a.workers, prefetch_factor=4))
    for _ in range(3):
        next(it)
    n, t0 = 0, time.perf_counter()
    while time.perf_counter() - t0 < a.seconds:
        next(it); n += a.batch
    dt = time.perf_counter() - t0
    print(json.dumps({"peer": "torch DataLoader + torchvision", "stage": a.stage, "workers": a.workers, "randaugment": a.randaugment, "imagesPerSecond": n / dt}))
