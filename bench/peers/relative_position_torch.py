#!/usr/bin/env python3
"""An independent PyTorch statement of relative patch position (Doersch et al. 2015, arXiv:1505.05192):
`relative_position_torch.py golden.json [--check]`.

The nine patches of N images are put back in the order of the grid by `samples`, go through the network as one batch, and each of the eight
neighbours of the centre is held beside it: [neighbour, centre], Linear, BN, ReLU, Linear as OpenSelfSup's relative_loc has them, without its
dropout. The class of a pair is the neighbour's place, row by row.

The file's lr is small because untrained features of noise hardly differ between images: the loss is steep, and float32 soon finds another
trajectory. Its decay is large so that it shows.
Float32 against float64: losses 2e-6.
"""
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import GroupedBatchNorm, Method, det_permutation, last_stage, main, resnet


class Head(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.bn1, self.fc2 = nn.Linear(i, hidden), GroupedBatchNorm(hidden), nn.Linear(hidden, o)

    def forward(self, x):
        return self.fc2(F.relu(self.bn1(self.fc1(x))))


def in_place(patches, plans):
    """[N,9,...] of which patch i of an image was cut from cell order[i] -> [N,9,...] by cell."""
    orders = torch.tensor([plan["jigsaw"]["order"] for plan in plans])
    return torch.stack([image[order.argsort()] for image, order in zip(patches, orders)])


class RelativePosition(Method):
    def __init__(self, o):
        self.net = resnet(o["arch"], o["bnGroups"])
        self.net.head = Head(2 * self.net.width, o["hidden"], 8)
        self.sections = {"online": self.net}

    def step(self, views, step, golden):
        x = in_place(views["patches"], golden["samples"][step]["plans"]["patches"])
        h = last_stage(self.net, x.flatten(0, 1)).mean((2, 3)).unflatten(0, (len(x), 9))
        neighbours = h[:, [0, 1, 2, 3, 5, 6, 7, 8]]
        logits = self.net.head(torch.cat([neighbours, h[:, 4:5].expand_as(neighbours)], 2).flatten(0, 1))
        labels = torch.arange(8).repeat(len(x))
        accuracy = (logits.argmax(1) == labels).to(logits.dtype).mean()
        return F.cross_entropy(logits, labels), {"accuracy": accuracy}, {}


def cut(batch, steps, seed):
    """`samples` of a golden file: an order of the patches of each image."""
    orders = [[det_permutation(f"patches.{i}", step, seed, 9).tolist() for i in range(batch)] for step in range(steps)]
    return [{"plans": {"patches": [{"jigsaw": {"order": order}} for order in of_step]}} for of_step in orders]


GOLDEN = {
    "method": "relative-position",
    "options": {"arch": "resnet18", "hidden": 64, "bnGroups": 2},
    "optimizer": {"name": "sgd", "lr": 0.00005, "momentum": 0.9, "weightDecay": 0.05},
    "batch": 4, "seed": 3, "totalSteps": 3,
    "views": {"patches": [4, 9, 24, 24, 3]},
    "samples": cut(4, 3, 3),
}

if __name__ == "__main__":
    main(RelativePosition, GOLDEN)
