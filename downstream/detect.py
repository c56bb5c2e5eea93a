#!/usr/bin/env python3
"""Fine-tunes a detector that begins with pre-trained weights, and says its AP.

    python3 detect.py --weights r50.pth --data VOCdevkit --arch c4

Needs torch and torchvision (1.13 and 0.14 or newer) and pycocotools. Prints a line of results; progress goes to stderr.
docs/downstream.md says which of the paper's numbers the results can be compared with.
"""

import argparse
import json
import math
import os
import sys
import time
from typing import NamedTuple

try:
    import torch
    from torch import nn
    from torch.utils.data import DataLoader

    from data import DataError, Pictures, read_data
    from models import BACKBONES, DETECTORS, WeightsError, load_backbone, new_backbone
    from progress import Progress, ProgressError, save
except ModuleNotFoundError as missing:
    sys.exit(f"detect.py: there is no {missing.name}; pip install torch torchvision pycocotools")


class Recipe(NamedTuple):
    iterations: int
    warmup: int
    drops: tuple  # of the rate to a tenth, as shares of the iterations
    smallest: float  # training pictures' shorter side begins at this share of --size


# The paper's: VOC07+12 for 24k iterations, and the 1x schedule of COCO.
RECIPES = {
    "voc": Recipe(24_000, 100, (18 / 24, 22 / 24), 480 / 800),
    "coco": Recipe(90_000, 1000, (60 / 90, 80 / 90), 640 / 800),
    "shards": Recipe(1000, 100, (18 / 24, 22 / 24), 480 / 800),
}
BATCH, RATE = 16, 0.02  # the rate goes with the batch
PRECISE_BATCHES = 200
CHECKPOINTS = 20


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", required=True, help="a .pth of detco export --format torchvision, or random")
    parser.add_argument("--data", required=True, help="a COCO folder, VOC folders, or shards of detco synth: train-*.tar, val-*.tar")
    parser.add_argument("--arch", choices=DETECTORS, default="fpn")
    parser.add_argument("--backbone", choices=BACKBONES, default=BACKBONES[0])
    parser.add_argument("--iterations", type=positive(int), help=f"default: {', '.join(f'{kind} {recipe.iterations}' for kind, recipe in RECIPES.items())}")
    parser.add_argument("--batch", type=positive(int), default=BATCH, help=f"pictures per iteration (default {BATCH})")
    parser.add_argument("--lr", type=positive(float), help=f"learning rate (default {RATE} for a batch of {BATCH}, in proportion)")
    parser.add_argument("--size", type=positive(int), default=800, help="shorter side of a picture in pixels (default 800)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=min(8, os.cpu_count() or 1), help="processes that read pictures")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--checkpoint", help="file that the same command goes on from after it was cut; written twenty times")
    parser.add_argument("--out", help="file for the trained detector's state dict")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    options = parser.parse_args(arguments)
    for name in ("checkpoint", "out"):
        path = getattr(options, name)
        if path and not os.access(os.path.dirname(path) or ".", os.W_OK):
            parser.error(f"--{name} {path}: its folder is not there, or cannot be written to")
    return options


def positive(kind):
    def parsed(text):
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < math.inf:
            raise argparse.ArgumentTypeError(f"expected {'a whole' if kind is int else 'a'} number above 0, got {text!r}")
        return value

    return parsed


def main(arguments=None):
    options = parse(arguments)
    try:
        from precision import average_precision
    except ModuleNotFoundError as missing:  # told before hours of training
        sys.exit(f"detect.py: there is no {missing.name}; pip install pycocotools")
    torch.manual_seed(options.seed)
    kind, train_set, test_set = read_data(options.data)
    recipe = RECIPES[kind]
    classes = len(train_set["categories"])
    pictures, tested = Pictures(train_set, train=True), Pictures(test_set, train=False)
    say(f"{kind}: {len(pictures)} pictures to train on, {len(tested)} to test on, {classes} classes")

    if options.weights == "random":
        resnet, loaded = new_backbone(options.backbone), 0
        say(f"{options.backbone} begins with random weights")
    else:
        resnet, loaded = load_backbone(options.backbone, options.weights)
        say(f"all {loaded} backbone keys of {options.backbone} loaded from {options.weights}")
    # In training torchvision draws one of these sides; when it tests, it takes the last.
    sides = range(options.size, round(options.size * recipe.smallest) - 1, -max(1, options.size // 25))
    sizes = {"min_size": tuple(reversed(sides)), "max_size": options.size * 1333 // 800}
    detector = DETECTORS[options.arch](resnet, classes, **sizes).to(options.device)

    train(detector, pictures, recipe, options)
    if options.out:
        save(detector.state_dict(), options.out)
    detections = detect(detector, tested, options)
    results = {**average_precision(test_set, detections), "detections": len(detections), "backboneKeys": loaded}
    print(json.dumps(results) if options.json else ", ".join(f"{name} {results[name]:.2f} %" for name in ("AP", "AP50", "AP75")))


def train(detector, pictures, recipe, options):
    iterations = options.iterations or recipe.iterations
    rate = options.lr or RATE * options.batch / BATCH
    warmup = min(recipe.warmup, iterations // 2)
    optimizer = torch.optim.SGD(parameter_groups(detector), lr=rate, momentum=0.9)

    def factor(iteration):
        drops = sum(iteration >= drop * iterations for drop in recipe.drops)
        return min(1, (iteration + 1) / (warmup + 1)) * 0.1**drops

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    detector.train()
    progress = Progress(options.checkpoint, options, detector, optimizer, schedule)
    done = progress.read()
    if done:
        say(f"goes on after iteration {done} of {options.checkpoint}")
    batches = load(pictures, Batches(len(pictures), options.batch, iterations, options.seed, done), options)
    started = time.monotonic()
    for iteration, batch in enumerate(progress.going_on(batches), done + 1):
        losses = detector(*on(options.device, batch))
        loss = sum(losses.values())
        if not math.isfinite(loss.item()):
            raise FloatingPointError(f"the loss of iteration {iteration} is {loss.item()}; try half the rate: --lr {rate / 2:g}")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if iteration % max(1, iterations // 100) == 0:
            left = (time.monotonic() - started) / (iteration - done) * (iterations - iteration)
            parts = ", ".join(f"{name.replace('loss_', '')} {value.item():.3f}" for name, value in losses.items())
            say(f"iteration {iteration}/{iterations}: loss {loss.item():.3f} ({parts}), {left / 60:.0f} min to go")
        if iteration % max(1, iterations // CHECKPOINTS) == 0:
            progress.write(iteration)
    settle_statistics(detector, pictures, min(iterations, PRECISE_BATCHES), options)


def parameter_groups(detector):
    """No weight decay for batch norms, as in Detectron2."""
    norms = [p for module in detector.modules() if isinstance(module, nn.BatchNorm2d) for p in module.parameters()]
    held = set(map(id, norms))
    others = [p for p in detector.parameters() if id(p) not in held]
    return [{"params": others, "weight_decay": 1e-4}, {"params": norms, "weight_decay": 0}]


def settle_statistics(detector, pictures, count, options):
    """Precise BN: running statistics become the mean over many batches under the final weights, where those of training lag behind."""
    norms = [module for module in detector.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean
    with torch.no_grad():
        for batch in load(pictures, Batches(len(pictures), options.batch, count, options.seed + 1), options):
            detector(*on(options.device, batch))


def detect(detector, pictures, options):
    """-> detections as COCO's results"""
    detector.eval()
    categories = {label: category for category, label in pictures.labels.items()}
    results = []
    in_order = [[(i, False) for i in range(at, min(at + options.batch, len(pictures)))] for at in range(0, len(pictures), options.batch)]
    with torch.no_grad():
        for items, batch in zip(in_order, load(pictures, in_order, options)):
            for (index, _), found in zip(items, detector(on(options.device, batch)[0])):
                boxes = found["boxes"].cpu()
                boxes[:, 2:] -= boxes[:, :2]
                for box, label, score in zip(boxes.tolist(), found["labels"].tolist(), found["scores"].tolist()):
                    image_id = pictures.images[index]["id"]
                    results.append({"image_id": image_id, "category_id": categories[label], "bbox": box, "score": score})
    return results


class Batches:
    """`count` batches of (index, mirrored) in random order, every index once before any comes again; without the first `done`."""

    def __init__(self, size, batch, count, seed, done=0):
        self.size, self.batch, self.count, self.seed, self.done = size, batch, count, seed, done

    def __len__(self):
        return self.count - self.done

    def __iter__(self):
        random = torch.Generator().manual_seed(self.seed)
        order = []
        for number in range(self.count):
            while len(order) < self.batch:
                order += torch.randperm(self.size, generator=random).tolist()
            mirrored = (torch.rand(self.batch, generator=random) < 0.5).tolist()
            if number >= self.done:
                yield list(zip(order[: self.batch], mirrored))
            del order[: self.batch]


def load(pictures, batches, options):
    return DataLoader(pictures, batch_sampler=batches, num_workers=options.workers, collate_fn=lambda items: tuple(zip(*items)))


def on(device, batch):
    pictures, targets = batch
    return [p.to(device) for p in pictures], [{name: value.to(device) for name, value in target.items()} for target in targets]


def say(line):
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    try:
        main()
    except (DataError, ProgressError, WeightsError, FloatingPointError, OSError) as error:
        sys.exit(f"detect.py: {error}")
