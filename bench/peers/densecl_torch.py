#!/usr/bin/env python3
"""An independent PyTorch statement of DenseCL (Wang et al. 2021, arXiv:2011.09157): `densecl_torch.py golden.json [--check]`.

MoCo v2 (arXiv:2003.04297) with a second, dense head. Order of a step: key <- m*key + (1-m)*query (parameters, not BN statistics); query
forward of globalQ; key forward of globalK, permuted and un-permuted after (ShuffleBN, `det_permutation("global")`), no gradient; two
InfoNCE losses against the queues as they stood before the step; SGD; both queues take the step's keys.

Cells are the S^2 positions of the last stage's map, row by row. The dense head is stated as linear layers over cells, which is what two 1x1
convolutions are. The dense queue takes one key per image: its cells' dense embeddings averaged as they are, then L2-normalised. The paper
says that a view's features are pooled for it; the order is that of WXinlong/DenseCL (openselfsup/models/necks.py, `DenseCLNeck`, pools before
densecl.py normalises). `probe`: the keys that the queues take.

The file's views are of 128 pixels, 4x4 cells: at 64 pixels, 2x2, padding tells the cells apart and each matches its own place. Momentum 0.5 moves
the key encoder by more than float32 rounds; the decay is large so that it shows. Of the seeds tried, 6 keeps matches apart: the largest cosine
leads the second by 4e-4 at least, and float32 changes that lead by 1e-5. Float32 against float64: loss, terms 8e-6; gradNorm 5e-3; probe 3e-4;
moved 3e-3 (either network); running statistics 5e-6; evalFeatures 4e-4.
"""
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import Method, det_permutation, det_queue, last_stage, main, named_params, resnet


class Head(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(i, hidden), nn.Linear(hidden, o)

    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))


def encode(net, x):
    """-> unit-norm rows: backbone features of the cells [N,S^2,C], global [N,D], dense of the cells [N,S^2,D], dense pooled [N,D]"""
    cells = last_stage(net, x).flatten(2).transpose(1, 2)
    dense = net.head["dense"](cells)
    return [F.normalize(e, dim=-1) for e in (cells, net.head["global"](cells.mean(1)), dense, dense.mean(1))]


class DenseCL(Method):
    def __init__(self, o):
        self.m, self.temperature, self.weight, self.pointer = o["keyMomentum"], o["temperature"], o["lossWeight"], 0
        self.query, self.key = resnet(o["arch"], o["bnGroups"]), resnet(o["arch"], o["bnGroups"])
        for net in (self.query, self.key):
            net.head = nn.ModuleDict({k: Head(net.width, o["hidden"], o["dim"]) for k in ("global", "dense")})
        self.sections = {"query": self.query, "key": self.key}
        self.queues = {k: det_queue(k, o["queueSize"], o["dim"]) for k in ("global", "dense")}

    def info_nce(self, q, k, queue):
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.to(q.dtype).t()], 1) / self.temperature
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))

    def step(self, views, step, golden):
        with torch.no_grad():
            for (_, q), (_, k) in zip(named_params(self.query), named_params(self.key)):
                k.lerp_(q, 1 - self.m)
        q_cells, q_global, q_dense, _ = encode(self.query, views["globalQ"])
        with torch.no_grad():
            order = det_permutation("global", step, golden["seed"], golden["batch"])
            k_cells, k_global, k_dense, k_pooled = (e[torch.argsort(order)] for e in encode(self.key, views["globalK"][order]))
            cosines = q_cells @ k_cells.transpose(1, 2)  # [N, S^2 of the query, S^2 of the key]
            first, second = cosines.topk(2, dim=2).values.unbind(2)
            print(f"step {step}: a match leads the next cell by {(first - second).min():.1e} at least, in cosine")
            match = cosines.argmax(2)  # section 3.4
            k_match = torch.gather(k_dense, 1, match.unsqueeze(2).expand(-1, -1, k_dense.shape[2]))
        terms = {"global": self.info_nce(q_global, k_global, self.queues["global"]),  # Eq. 1
                 "dense": self.info_nce(q_dense.flatten(0, 1), k_match.flatten(0, 1), self.queues["dense"])}  # Eq. 2
        self.keys = {"global": k_global, "dense": k_pooled}
        loss = (1 - self.weight) * terms["global"] + self.weight * terms["dense"]  # Eq. 3
        return loss, terms, self.keys

    def settle(self, step, golden):
        for name, queue in self.queues.items():
            queue[self.pointer:self.pointer + golden["batch"]] = self.keys[name]
        self.pointer = (self.pointer + golden["batch"]) % golden["options"]["queueSize"]


GOLDEN = {
    "method": "densecl",
    "options": {"arch": "resnet18", "hidden": 64, "dim": 128, "queueSize": 16, "temperature": 0.2,
                "keyMomentum": 0.5, "lossWeight": 0.5, "bnGroups": 2},
    "optimizer": {"name": "sgd", "lr": 0.002, "momentum": 0.9, "weightDecay": 0.05},
    "batch": 4, "seed": 6, "totalSteps": 3,
    "views": {"globalQ": [4, 128, 128, 3], "globalK": [4, 128, 128, 3]},
}

if __name__ == "__main__":
    main(DenseCL, GOLDEN)
