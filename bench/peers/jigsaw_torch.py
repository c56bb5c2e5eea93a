#!/usr/bin/env python3
"""An independent PyTorch statement of jigsaw classification (Noroozi & Favaro 2016, arXiv:1603.09246; Goyal et al. 2019, arXiv:1905.01235):
`jigsaw_torch.py golden.json [--check]`.

The patches of an image are put back in the order of the grid by `samples` and then shuffled by the permutation that was drawn for it: place
p has cell y[p]. Each goes through network, Linear, BN and ReLU, and the nine, one after the other, through one Linear, as VISSL's
jigsaw_8gpu_resnet has them. The set is Algorithm 1 over the list of all 9! permutations; its first one and the classes are drawn by the
streams `jigsaw.permutations` and `jigsaw.classes` of seed 0.

The optimizer is LARS, which here leaves biases and batch norms without decay, as the method does.
Float32 against float64: losses 2e-6.
"""
import itertools
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import GroupedBatchNorm, Method, last_stage, main, resnet
from philox import below, permutation
from relative_position_torch import cut, in_place


def permutation_set(count, seed):
    """Of those that are left, the one whose Hamming distances to the chosen ones have the largest sum; the first of several."""
    left = torch.tensor(list(itertools.permutations(range(9))))
    chosen = [torch.tensor(permutation(below(seed, "jigsaw.permutations"), 9))]
    distances = torch.zeros(len(left), dtype=torch.int64)
    while len(chosen) < count:
        differing = (left != chosen[-1]).sum(1)
        keep = differing > 0
        left, distances = left[keep], (distances + differing)[keep]
        chosen.append(left[distances == distances.max()][0])
    return torch.stack(chosen)


class Jigsaw(Method):
    def __init__(self, o):
        self.net = resnet(o["arch"], o["bnGroups"])
        self.net.patch = nn.Module()
        self.net.patch.fc1, self.net.patch.bn1 = nn.Linear(self.net.width, o["hidden"], bias=False), GroupedBatchNorm(o["hidden"])
        self.net.head = nn.Module()
        self.net.head.fc1 = nn.Linear(9 * o["hidden"], o["permutations"])
        self.permutations = permutation_set(o["permutations"], 0)
        self.sections = {"online": self.net}

    def step(self, views, step, golden):
        x = in_place(views["patches"], golden["samples"][step]["plans"]["patches"])
        draw = below(0, "jigsaw.classes", step)
        labels = torch.tensor([draw(len(self.permutations)) for _ in x])
        shuffled = torch.stack([image[y] for image, y in zip(x, self.permutations[labels])])
        h = last_stage(self.net, shuffled.flatten(0, 1)).mean((2, 3))
        h = F.relu(self.net.patch.bn1(self.net.patch.fc1(h)))
        logits = self.net.head.fc1(h.unflatten(0, (len(x), 9)).flatten(1))
        accuracy = (logits.argmax(1) == labels).to(logits.dtype).mean()
        return F.cross_entropy(logits, labels), {"accuracy": accuracy}, {}


GOLDEN = {
    "method": "jigsaw",
    "options": {"arch": "resnet18", "hidden": 64, "permutations": 30, "bnGroups": 2},
    "optimizer": {"name": "lars", "lr": 0.002, "momentum": 0.9, "weightDecay": 1.0, "trust": 0.001},
    "batch": 4, "seed": 3, "totalSteps": 3,
    "views": {"patches": [4, 9, 24, 24, 3]},
    "samples": cut(4, 3, 3),
}

if __name__ == "__main__":
    main(Jigsaw, GOLDEN)
