#!/usr/bin/env python3
"""An independent PyTorch statement of patch re-identification (DUPR; Ding et al., TPAMI 2022, arXiv:2103.04814):
`patch_reid_torch.py golden.json [--check]`. No code was released; what the text leaves open is chosen as docs/methods.md says.

MoCo v2 (arXiv:2003.04297) at four levels, of images and of patches. Order of a step: key <- m*key + (1-m)*query (parameters, not BN
statistics); query forward of globalQ; key forward of globalK, permuted and un-permuted after (ShuffleBN, `det_permutation("global")`), no
gradient; for each level an InfoNCE loss of images and one of patches against its queue as it stood before the step; SGD; each queue takes one
key an image, of patches the one numbered (step + i) mod S^2 of image i.

The patches of a view are RoIAlign's S x S bins (torchvision, aligned, 2 samples) of what it shows of the image that the other shows too; of a
mirrored view they are mirrored back. An image whose views share nothing has its whole views in the queue's place, and in the loss the patches of
another stand in: of those that share something, in turn. The boxes of the file's `samples` are such that one image in a step has none.

Two float32 programs are within: loss 4e-6; terms 1e-5; gradNorm 3e-3; probe 2e-3; moved 2e-3; running statistics 6e-6; evalFeatures 2e-4.
"""
import torch, torch.nn as nn, torch.nn.functional as F
from torchvision.ops import roi_align
from golden_torch import Method, STAGES, det_permutation, det_queue, det_uniform, main, named_params, resnet, stages

STRIDES = dict(zip(STAGES, (4, 8, 16, 32)))


class Head(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(i, hidden), nn.Linear(hidden, o)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def shared(a, b):
    """What both boxes of an image cover, [left, top, right, bottom], or None."""
    left, top = max(a["left"], b["left"]), max(a["top"], b["top"])
    right, bottom = (min(a[at] + a[size], b[at] + b[size]) for at, size in (("left", "width"), ("top", "height")))
    return [left, top, right, bottom] if right > left and bottom > top else None


def in_view(plan, box, side):
    """That part in pixels of the view, as the view would be if it were not mirrored."""
    if box is None:
        return [0, 0, side, side]
    b = plan["box"]
    x, y = (lambda v: (v - b["left"]) / b["width"] * side), (lambda v: (v - b["top"]) / b["height"] * side)
    return [x(box[0]), y(box[1]), x(box[2]), y(box[3])]


class PatchReId(Method):
    def __init__(self, o):
        self.o, self.pointer = o, 0
        self.names = [f"{kind}.{s}" for s in STAGES for kind in ("image", "patch")]
        self.query, self.key = (self.network() for _ in range(2))
        self.sections = {"query": self.query, "key": self.key}
        self.queues = {k: det_queue(k, o["queueSize"], o["dim"]) for k in self.names}

    def network(self):
        o, net = self.o, resnet(self.o["arch"], self.o["bnGroups"])
        channels = dict(zip(STAGES, (net.width // 8, net.width // 4, net.width // 2, net.width)))
        net.head = nn.ModuleDict({kind: nn.ModuleDict({s: Head(channels[s], o["hidden"], o["dim"]) for s in STAGES})
                                  for kind in ("image", "patch")})
        return net

    def encode(self, net, x, boxes, flipped):
        """boxes of views that are not mirrored -> unit-norm [N,D] of images and [N,S^2,D] of patches, by level"""
        out, side, s = {}, x.shape[3], self.o["patches"]
        mirrored = torch.stack([torch.stack([side - b[2], b[1], side - b[0], b[3]]) if f else b for b, f in zip(boxes, flipped)])
        rois = torch.cat([torch.arange(len(x)).unsqueeze(1), mirrored], 1).to(x.dtype)
        for level, m in zip(STAGES, stages(net, x)):
            bins = roi_align(m, rois, s, 1 / STRIDES[level], 2, aligned=True)
            bins = torch.stack([b.flip(2) if f else b for b, f in zip(bins, flipped)])
            out[f"image.{level}"] = F.normalize(net.head["image"][level](m.mean((2, 3))), dim=1)
            out[f"patch.{level}"] = F.normalize(net.head["patch"][level](bins.flatten(2).transpose(1, 2)), dim=2)
        return out

    def info_nce(self, q, k, queue):
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.to(q.dtype).t()], 1) / self.o["temperature"]
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))

    def step(self, views, step, golden):
        n, side = golden["batch"], views["globalQ"].shape[3]
        plans = golden["samples"][step]["plans"]
        both = [shared(q["box"], k["box"]) for q, k in zip(plans["globalQ"], plans["globalK"])]
        found = [i for i, box in enumerate(both) if box]
        print(f"step {step}: views of {n - len(found)} images share nothing")
        sources = [i if box else found[i % len(found)] for i, box in enumerate(both)]
        boxes = {v: torch.tensor([in_view(p, box, side) for p, box in zip(plans[v], both)], dtype=torch.float64) for v in plans}
        flips = {v: [p["flipped"] and box is not None for p, box in zip(plans[v], both)] for v in plans}
        with torch.no_grad():
            for (_, q), (_, k) in zip(named_params(self.query), named_params(self.key)):
                k.lerp_(q, 1 - self.o["keyMomentum"])
        queries = self.encode(self.query, views["globalQ"], boxes["globalQ"], flips["globalQ"])
        with torch.no_grad():
            order = det_permutation("global", step, golden["seed"], n)
            shuffled = self.encode(self.key, views["globalK"][order], boxes["globalK"][order], [flips["globalK"][i] for i in order])
            keys = {name: k[torch.argsort(order)] for name, k in shuffled.items()}
        terms = {}
        for name in self.names:
            q, k = queries[name], keys[name]
            if name.startswith("patch"):
                q, k = q[sources].flatten(0, 1), k[sources].flatten(0, 1)
            terms[name] = self.info_nce(q, k, self.queues[name])
        loss = sum(self.o["levels"][level] * (terms[f"image.{level}"] + terms[f"patch.{level}"]) for level in STAGES)
        each = self.o["patches"] ** 2
        self.keys = {name: k[range(n), [(step + i) % each for i in range(n)]] if k.dim() == 3 else k for name, k in keys.items()}
        return loss, terms, self.keys

    def settle(self, step, golden):
        for name, queue in self.queues.items():
            queue[self.pointer:self.pointer + golden["batch"]] = self.keys[name]
        self.pointer = (self.pointer + golden["batch"]) % self.o["queueSize"]


def plan(view, step, i):
    """A crop of 0.4 to all of a picture of 120 x 90 pixels, on either side; image 1 of a step has crops apart."""
    u = [v.item() for v in det_uniform(f"plan.{view}.{step}.{i}", 5)]
    low = 0.4 if i != 1 else 0.2
    width, height = (int(side * (low + (1 - low) * v if i != 1 else low)) for side, v in ((120, u[0]), (90, u[1])))
    left, top = int(u[2] * (120 - width + 1)), int(u[3] * (90 - height + 1))
    if i == 1:
        left, top = (0, 0) if view == "globalQ" else (120 - width, 90 - height)
    return {"image": {"width": 120, "height": 90}, "box": {"left": left, "top": top, "width": width, "height": height}, "flipped": u[4] < 0.5}


BATCH, STEPS = 4, 3
GOLDEN = {
    "method": "patch-reid",
    "options": {"arch": "resnet18", "levels": {"res2": 0.1, "res3": 0.4, "res4": 0.7, "res5": 1}, "patches": 3, "hidden": 32, "dim": 32,
                "queueSize": 16, "temperature": 0.5, "keyMomentum": 0.5, "bnGroups": 2},
    "optimizer": {"name": "sgd", "lr": 0.0002, "momentum": 0.9, "weightDecay": 0.05},
    "batch": BATCH, "seed": 1, "totalSteps": STEPS,
    "views": {"globalQ": [BATCH, 64, 64, 3], "globalK": [BATCH, 64, 64, 3]},
    "samples": [{"plans": {view: [plan(view, step, i) for i in range(BATCH)] for view in ("globalQ", "globalK")}} for step in range(STEPS)],
}

if __name__ == "__main__":
    main(PatchReId, GOLDEN)
