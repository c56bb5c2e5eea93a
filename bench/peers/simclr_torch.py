#!/usr/bin/env python3
"""An independent PyTorch statement of SimCLR (Chen et al. 2020, arXiv:2002.05709): `simclr_torch.py golden.json [--check]`.

Both views of N images go through the network as one batch of 2N, [view1; view2], so batch norm sees them together (section 2.2, "Global
BN"). The head is fc1, BN, ReLU, fc2, BN, without biases: section 2.1's g(h) = W2 relu(W1 h), with a BN after each layer as in
google-research/simclr (model_util.py, `projection_head`, whose last BN has no offset; here it has). NT-Xent is Eq. 1 in the mean over all 2N
anchors of Algorithm 1; that repository (objective.py) adds the means of the two views, twice as much.

The file's lr is small because untrained features of noise hardly differ between images, which the head's batch norm makes up for: the loss is
steep, and float32 soon finds another trajectory. Its decay is large so that it shows: none at all moves a parameter by 5 % less or more.
Float32 against float64: loss 2e-5; gradNorm 7e-4; moved 7e-4; running statistics 2e-6; evalFeatures 2e-5.
"""
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import GroupedBatchNorm, Method, last_stage, main, resnet


class Head(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.bn1 = nn.Linear(i, hidden, bias=False), GroupedBatchNorm(hidden)
        self.fc2, self.bn2 = nn.Linear(hidden, o, bias=False), GroupedBatchNorm(o)

    def forward(self, h):
        return self.bn2(self.fc2(F.relu(self.bn1(self.fc1(h)))))


def nt_xent(z, temperature):
    """z [2N,D] of unit norm, the other view of row i at row (i + N) mod 2N. Eq. 1: positives and negatives are all rows but i itself."""
    n = len(z)
    logits = (z @ z.t() / temperature).masked_fill(torch.eye(n, dtype=torch.bool), -torch.inf)
    return F.cross_entropy(logits, torch.arange(n).roll(n // 2))


class SimCLR(Method):
    def __init__(self, o):
        self.net, self.temperature = resnet(o["arch"], o["bnGroups"]), o["temperature"]
        self.net.head = Head(self.net.width, o["hidden"], o["dim"])
        self.sections = {"online": self.net}

    def step(self, views, step, golden):
        h = last_stage(self.net, torch.cat([views["view1"], views["view2"]])).mean((2, 3))
        z = F.normalize(self.net.head(h), dim=1)
        return nt_xent(z, self.temperature), {}, {}


GOLDEN = {
    "method": "simclr",
    "options": {"arch": "resnet18", "hidden": 64, "dim": 128, "temperature": 0.1, "bnGroups": 1},
    "optimizer": {"name": "lars", "lr": 0.002, "momentum": 0.9, "weightDecay": 1.0, "trust": 0.001},
    "batch": 8, "seed": 2, "totalSteps": 3,
    "views": {"view1": [8, 64, 64, 3], "view2": [8, 64, 64, 3]},
}

if __name__ == "__main__":
    main(SimCLR, GOLDEN)
