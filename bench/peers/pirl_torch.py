#!/usr/bin/env python3
"""An independent PyTorch statement of PIRL (Misra & van der Maaten 2020, arXiv:1912.01991): `pirl_torch.py golden.json [--nce] [--check]`.

Order of a step: f = normalise(head.image(features of the whole image)); the nine patches of an image one by one through the same backbone, then
head.patch, side by side in the order that they come in, head.patches, normalised: g. Heads are linear (section 3.3; VISSL,
pirl_jigsaw_4node_resnet50.yaml). Both are held against the image's entry of the memory bank and m entries that the batch has in common; the loss
is lambda times that of g and 1 - lambda times that of f (Eq. 5). After SGD the entries of the step's images move to f, as in
`instdis_torch.py`, whose negatives and losses these are: cross-entropy, or with --nce noise contrast, of which each loss has a constant of its own.

`probe`: f. Running statistics move by the whole images first. The file has no decay: SGD here would decay biases and batch norms too.
The rate is low enough that the second loss is within 4e-6 of float64.
"""
import sys
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import Method, det_queue, last_stage, main, resnet
from instdis_torch import SAMPLES, det_negatives, info_nce, nce


class PIRL(Method):
    def __init__(self, o):
        self.o, self.Z = o, {"image": None, "patches": None}
        self.net = resnet(o["arch"], o["bnGroups"])
        w, d = self.net.width, o["dim"]
        self.net.head = nn.ModuleDict({k: nn.ModuleDict({"fc1": nn.Linear(i, d)}) for k, i in (("image", w), ("patch", w), ("patches", 9 * d))})
        self.sections = {"online": self.net}
        self.bank = det_queue("entries", o["images"], d)

    def against(self, name, v, own, others):
        if self.o["loss"] == "softmax":
            return info_nce(v, own, others, self.o["temperature"])
        loss, self.Z[name] = nce(v, own, others, self.o["images"], self.o["temperature"], self.Z[name])
        return loss

    def step(self, views, step, golden):
        image, patches, head = views["image"], views["patches"], self.net.head
        self.bank = self.bank.to(image.dtype)
        self.f = F.normalize(head["image"]["fc1"](last_stage(self.net, image).mean((2, 3))), dim=1)
        each = head["patch"]["fc1"](last_stage(self.net, patches.flatten(0, 1)).mean((2, 3)))
        g = F.normalize(head["patches"]["fc1"](each.reshape(len(patches), -1)), dim=1)
        own, others = self.bank[golden["samples"][step]["ordinals"]], self.bank[det_negatives(step, golden)]
        terms = {"image": self.against("image", self.f, own, others), "patches": self.against("patches", g, own, others)}
        weight = self.o["lossWeight"]
        return weight * terms["patches"] + (1 - weight) * terms["image"], terms, {"entries": self.f}

    @torch.no_grad()
    def settle(self, step, golden):
        m = self.o["bankMomentum"]
        for i, v in zip(golden["samples"][step]["ordinals"], self.f):
            self.bank[i] = F.normalize(m * self.bank[i] + (1 - m) * v, dim=0)


GOLDEN = {
    "method": "pirl",
    "options": {"arch": "resnet18", "dim": 128, "images": 16, "negatives": 12, "loss": "softmax", "temperature": 0.2, "bankMomentum": 0.3,
                "lossWeight": 0.3, "bnGroups": 2},
    "optimizer": {"name": "sgd", "lr": 0.0005, "momentum": 0.9, "weightDecay": 0.0},
    "batch": 8, "seed": 1, "totalSteps": 3,
    "views": {"image": [8, 64, 64, 3], "patches": [8, 9, 32, 32, 3]},
    "samples": SAMPLES,
}

if __name__ == "__main__":
    if "--nce" in sys.argv:
        sys.argv.remove("--nce")
        GOLDEN["options"]["loss"] = "nce"
    main(PIRL, GOLDEN)
