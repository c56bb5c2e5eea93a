#!/usr/bin/env python3
"""An independent PyTorch statement of rotation prediction (Gidaris et al. 2018, arXiv:1803.07728): `rotation_torch.py golden.json [--check]`.

All four turns of N images go through the network as one batch, section 3.1's Eq. 3 with K = 4; the classifier is one linear layer on the
average of the last map, as OpenSelfSup's rotation_pred has it on a ResNet. Batch norm groups hold all turns of their images.
Here a view's four pictures are noise of their own: that they are turns of each other is the pipeline's part.

The file's lr is small because untrained features of noise hardly differ between images: the loss is steep, and float32 soon finds another
trajectory. Its decay is large so that it shows.
Float32 against float64: losses 2e-5.
"""
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import Method, last_stage, main, resnet


class Rotation(Method):
    def __init__(self, o):
        self.net = resnet(o["arch"], o["bnGroups"])
        self.net.head = nn.Module()
        self.net.head.fc1 = nn.Linear(self.net.width, 4)
        self.sections = {"online": self.net}

    def step(self, views, step, golden):
        x = views["rotations"]  # [N,4,3,H,W]
        logits = self.net.head.fc1(last_stage(self.net, x.flatten(0, 1)).mean((2, 3)))
        labels = torch.arange(4).repeat(len(x))
        accuracy = (logits.argmax(1) == labels).to(logits.dtype).mean()
        return F.cross_entropy(logits, labels), {"accuracy": accuracy}, {}


GOLDEN = {
    "method": "rotation",
    "options": {"arch": "resnet18", "bnGroups": 2},
    "optimizer": {"name": "sgd", "lr": 0.00005, "momentum": 0.9, "weightDecay": 0.05},
    "batch": 8, "seed": 3, "totalSteps": 3,
    "views": {"rotations": [8, 4, 32, 32, 3]},
}

if __name__ == "__main__":
    main(Rotation, GOLDEN)
