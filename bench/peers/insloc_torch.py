#!/usr/bin/env python3
"""An independent PyTorch statement of InsLoc (Yang et al. 2021, arXiv:2102.08318): `insloc_torch.py golden.json [--form fpn] [--check]`.

MoCo v2 (arXiv:2003.04297) of regions. Order of a step: key <- m*key + (1-m)*query (parameters, not BN statistics); query forward; key forward
of images and boxes, permuted and un-permuted after (ShuffleBN, `det_permutation("region")`), no gradient; an InfoNCE loss for each level
against its queue as it stood before the step, summed; SGD; the queues take the step's keys.

The query's image i is view `foregroundQ` within its box and `backgroundQ` of image `det_permutation("backgroundQ")[i]` around it; the key's
likewise. Where the boxes lie is in the file (`samples`): the crops that the views stand for were put there. RoIAlign is torchvision's,
aligned, with as many samples as a bin has cells (detectron2's ROIAlignV2; sample_num=0 of limbo0000/InstanceLoc, configs/FPN/insloc_fpn_200ep.py).

fpn, as in that repository: 1x1 convolutions of all stages and 3x3 ones of the sums, a BN without ReLU after each (mmdet's ConvModule without
act_cfg); the head is four 3x3 convolutions with BN and ReLU, then three linear layers, and sees the levels of an image one after the other.
c4, of which no code was released: RoIAlign of res4, res5, average, two linear layers.

Float32 against float64 with form c4: loss 1e-6; gradNorm 2e-5; probe 3e-5; moved 9e-5; running statistics 1e-7; evalFeatures 1e-6. Form fpn on
pictures this small is steep: rates and temperature are such that float32 stays near float64 (loss 4e-7), and two float32 programs near each
other: terms 3e-6; gradNorm 5e-4; probe 6e-4; moved 2e-3.
"""
import itertools, sys
import torch, torch.nn as nn, torch.nn.functional as F
from torchvision.ops import roi_align
from golden_torch import GroupedBatchNorm, Method, STAGES, det_permutation, det_queue, det_uniform, main, named_params, resnet, stages

STRIDES = dict(zip(STAGES, (4, 8, 16, 32)))


class ConvBN(nn.Module):
    def __init__(self, i, o, kernel):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(i, o, kernel, padding=kernel // 2, bias=False), GroupedBatchNorm(o)

    def forward(self, x):
        return self.bn1(self.conv1(x))


class Pyramid(nn.Module):
    def __init__(self, channels, width):
        super().__init__()
        self.lateral = nn.ModuleDict({s: ConvBN(c, width, 1) for s, c in zip(STAGES, channels)})
        self.output = nn.ModuleDict({s: ConvBN(width, width, 3) for s in STAGES})

    def forward(self, maps):
        sums = {s: self.lateral[s](m) for s, m in zip(STAGES, maps)}
        for upper, lower in zip(STAGES[:0:-1], STAGES[-2::-1]):
            sums[lower] = sums[lower] + F.interpolate(sums[upper], size=sums[lower].shape[2:], mode="nearest")
        return {s: self.output[s](sums[s]) for s in STAGES}


class BoxHead(nn.Module):
    def __init__(self, width, bins, hidden, dim):
        super().__init__()
        for i in range(1, 5):
            setattr(self, f"conv{i}", nn.Conv2d(width, width, 3, padding=1, bias=False))
            setattr(self, f"bn{i}", GroupedBatchNorm(width))
        self.fc1, self.fc2, self.fc3 = nn.Linear(bins * bins * width, hidden), nn.Linear(hidden, hidden), nn.Linear(hidden, dim)

    def forward(self, x):
        for i in range(1, 5):
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        x = x.permute(0, 2, 3, 1).flatten(1)  # rows, columns, channels: the order of the linear layer's inputs is free
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Mlp(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(i, hidden), nn.Linear(hidden, o)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def regions(x, boxes, bins, stage):
    rois = torch.cat([torch.arange(len(boxes), dtype=boxes.dtype).unsqueeze(1), boxes], 1)
    return roi_align(x, rois.to(x.dtype), bins, 1 / STRIDES[stage], 0, aligned=True)


def encode(net, x, boxes, o):
    """-> embeddings of unit norm by level, [N,D] each"""
    if o["form"] == "c4":
        _, _, res4 = itertools.islice(stages(net, x), 3)
        return {"res4": F.normalize(net.head(net.layer4(regions(res4, boxes, o["bins"], "res4")).mean((2, 3))), dim=1)}
    levels = net.fpn(list(stages(net, x)))
    rows = torch.stack([regions(levels[s], boxes, o["bins"], s) for s in STAGES], 1).flatten(0, 1)
    outputs = F.normalize(net.head(rows), dim=1).unflatten(0, (len(x), len(STAGES)))
    return {f"p{i + 2}": outputs[:, i] for i in range(len(STAGES))}


class InsLoc(Method):
    def __init__(self, o):
        self.o, self.pointer = o, 0
        self.query, self.key = (self.network() for _ in range(2))
        self.sections = {"query": self.query, "key": self.key}
        self.queues = {k: det_queue(k, o["queueSize"], o["dim"]) for k in (["res4"] if o["form"] == "c4" else ["p2", "p3", "p4", "p5"])}

    def network(self):
        o, net = self.o, resnet(self.o["arch"], self.o["bnGroups"])
        if o["form"] == "c4":
            net.head = Mlp(net.width, o["hidden"], o["dim"])
        else:
            net.fpn = Pyramid([net.width // 8, net.width // 4, net.width // 2, net.width], o["fpnChannels"])
            net.head = BoxHead(o["fpnChannels"], o["bins"], o["hidden"], o["dim"])
        return net

    def composed(self, views, which, step, golden):
        boxes = [p["placed"] for p in golden["samples"][step]["plans"][f"foreground{which}"]]
        images = views[f"background{which}"][det_permutation(f"background{which}", step, golden["seed"], golden["batch"])].clone()
        for i, b in enumerate(boxes):
            rows, columns = slice(b["top"], b["top"] + b["height"]), slice(b["left"], b["left"] + b["width"])
            images[i, :, rows, columns] = views[f"foreground{which}"][i, :, rows, columns]
        return images, torch.tensor([[b["left"], b["top"], b["left"] + b["width"], b["top"] + b["height"]] for b in boxes], dtype=torch.float64)

    def info_nce(self, q, k, queue):
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.to(q.dtype).t()], 1) / self.o["temperature"]
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))

    def step(self, views, step, golden):
        with torch.no_grad():
            for (_, q), (_, k) in zip(named_params(self.query), named_params(self.key)):
                k.lerp_(q, 1 - self.o["keyMomentum"])
        queries = encode(self.query, *self.composed(views, "Q", step, golden), self.o)
        with torch.no_grad():
            order = det_permutation("region", step, golden["seed"], golden["batch"])
            images, boxes = self.composed(views, "K", step, golden)
            keys = encode(self.key, images[order], boxes[order], self.o)
            self.keys = {level: k[torch.argsort(order)] for level, k in keys.items()}
        terms = {level: self.info_nce(q, self.keys[level], self.queues[level]) for level, q in queries.items()}
        return sum(terms.values()), terms if len(terms) > 1 else {}, self.keys

    def settle(self, step, golden):
        for level, queue in self.queues.items():
            queue[self.pointer:self.pointer + golden["batch"]] = self.keys[level]
        self.pointer = (self.pointer + golden["batch"]) % self.o["queueSize"]


def placed(view, step, i, side):
    """A box of half to all of the side, somewhere in the picture."""
    width, height, x, y = (u.item() for u in det_uniform(f"box.{view}.{step}.{i}", 4))
    width, height = (int(side / 2 + u * side / 2) for u in (width, height))
    return {"canvas": side, "left": int(x * (side - width + 1)), "top": int(y * (side - height + 1)), "width": width, "height": height}


FORMS = {"fpn": {"form": "fpn", "bins": 3, "hidden": 32, "fpnChannels": 32}, "c4": {"form": "c4", "bins": 6, "hidden": 64}}
VIEWS = ("foregroundQ", "foregroundK", "backgroundQ", "backgroundK")
BATCH, SIDE, STEPS = 8, 64, 3


def golden(form):
    return {
        "method": "insloc",
        "options": {"arch": "resnet18", **FORMS[form], "boxJitter": False, "dim": 32, "queueSize": 16, "temperature": {"fpn": 1, "c4": 0.2}[form],
                    "keyMomentum": 0.5, "bnGroups": 2},
        "optimizer": {"name": "sgd", "lr": {"fpn": 3e-5, "c4": 0.002}[form], "momentum": 0.9, "weightDecay": 0.05},
        "batch": BATCH, "seed": {"fpn": 2, "c4": 1}[form], "totalSteps": STEPS,
        "views": {view: [BATCH, SIDE, SIDE, 3] for view in VIEWS},
        "samples": [{"plans": {view: [{"placed": placed(view, step, i, SIDE)} for i in range(BATCH)] for view in VIEWS[:2]}}
                    for step in range(STEPS)],
    }


if __name__ == "__main__":
    form = "fpn" if "--form" in sys.argv else "c4"
    sys.argv = [a for a in sys.argv if a not in ("--form", "c4", "fpn")]
    main(InsLoc, golden(form))
