#!/usr/bin/env python3
"""An independent PyTorch statement of BYOL (Grill et al. 2020, arXiv:2006.07733): `byol_torch.py golden.json [--check]`.

Every forward is one of its own, in this order: target on view1, target on view2 (train mode, its own running statistics, no gradient),
online on view1, online on view2. After the optimiser's update the target's parameters follow the online network's (Eq. 1), not its batch norm
statistics. Projector and predictor are fc1, BN, ReLU, fc2; fc2 has no bias as in google-deepmind/deepmind-research (byol/utils/networks.py,
`MLP`), where the paper does not say.

The file's momentum starts at 0.9 and its run ends after the three steps, so that the schedule shows; so does its large decay.
Float32 against float64: loss, terms 4e-6; gradNorm 1e-3; moved 7e-4 (online), 1e-3 (target); running statistics 3e-6;
evalFeatures 1e-4.
"""
import math
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import GroupedBatchNorm, Method, last_stage, main, named_params, resnet


class MLP(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.bn1, self.fc2 = nn.Linear(i, hidden), GroupedBatchNorm(hidden), nn.Linear(hidden, o, bias=False)

    def forward(self, x):
        return self.fc2(F.relu(self.bn1(self.fc1(x))))


def regression(q, z):
    """Eq. 2: || q/|q| - z/|z| ||^2, in the mean over images; q, z of unit norm."""
    return (2 - 2 * (q * z).sum(1)).mean()


class BYOL(Method):
    def __init__(self, o):
        self.momentum = o["keyMomentum"]
        self.online, self.target = resnet(o["arch"], o["bnGroups"]), resnet(o["arch"], o["bnGroups"])
        for net in (self.online, self.target):
            net.projector = MLP(net.width, o["hidden"], o["dim"])
        self.online.predictor = MLP(o["dim"], o["hidden"], o["dim"])
        self.sections = {"online": self.online, "target": self.target}

    def project(self, net, x):
        return net.projector(last_stage(net, x).mean((2, 3)))

    def step(self, views, step, golden):
        with torch.no_grad():
            z1, z2 = (F.normalize(self.project(self.target, views[v]), dim=1) for v in ("view1", "view2"))
        q1, q2 = (F.normalize(self.online.predictor(self.project(self.online, views[v])), dim=1) for v in ("view1", "view2"))
        terms = {"view1": regression(q1, z2), "view2": regression(q2, z1)}
        return terms["view1"] + terms["view2"], terms, {}

    @torch.no_grad()
    def settle(self, step, golden):
        """Eq. 1 with the paper's tau = 1 - (1 - tau_base) (cos(pi k/K) + 1) / 2, of step k = 0 to K - 1."""
        tau = 1 - (1 - self.momentum) * (math.cos(math.pi * step / golden["totalSteps"]) + 1) / 2
        online = dict(named_params(self.online))
        for name, p in named_params(self.target):
            p.lerp_(online[name], 1 - tau)


GOLDEN = {
    "method": "byol",
    "options": {"arch": "resnet18", "hidden": 64, "dim": 32, "keyMomentum": 0.9, "bnGroups": 1},
    "optimizer": {"name": "lars", "lr": 0.02, "momentum": 0.9, "weightDecay": 0.5, "trust": 0.001},
    "batch": 8, "seed": 2, "totalSteps": 3,
    "views": {"view1": [8, 64, 64, 3], "view2": [8, 64, 64, 3]},
}

if __name__ == "__main__":
    main(BYOL, GOLDEN)
