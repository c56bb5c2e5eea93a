#!/usr/bin/env python3
"""An independent PyTorch statement of SwAV (Caron et al. 2020, arXiv:2006.09882): `swav_torch.py golden.json [--check]`.

Crops of one size go through the backbone as one batch, global crops first; all features then go through the projector together, as in
facebookresearch/swav (src/resnet50.py, `forward`). Prototypes are brought to unit norm before each step. Codes are those of Algorithm 1 in
the paper's appendix: exp(scores / epsilon), then rows and columns of that matrix brought to their sums in turn; here in float64, whatever the
rest is in. The queue takes the embeddings of every step and is used from `queueEpoch` on, when it is full of them. In the first
`frozenEpochs` epochs prototypes have no gradient, and neither then nor later decay.

A step is an epoch here: prototypes are frozen in step 0 and move from step 1 on; the queue of two batches is used from step 3 on.

The scores of untrained features of noise lie near each other, and a small epsilon and temperature make the loss steep: the file's lr is small.
"""
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import GroupedBatchNorm, Method, det_queue, last_stage, main, resnet


class Projector(nn.Module):
    def __init__(self, i, hidden, o):
        super().__init__()
        self.fc1, self.bn1, self.fc2 = nn.Linear(i, hidden), GroupedBatchNorm(hidden), nn.Linear(hidden, o)

    def forward(self, h):
        return self.fc2(F.relu(self.bn1(self.fc1(h))))


def codes(scores, epsilon, iterations):
    """scores [B,K] -> codes [B,K] of rows that sum to 1. The paper's Q is transposed: prototypes have the sum 1/K, samples 1/B."""
    q = torch.exp(scores.double() / epsilon).t()
    q = q / q.sum()
    k, b = q.shape
    for _ in range(iterations):
        q = q / q.sum(1, keepdim=True) / k
        q = q / q.sum(0, keepdim=True) / b
    return (q * b).t().to(scores.dtype)


class SwAV(Method):
    def __init__(self, o):
        self.o, self.net = o, resnet(o["arch"], o["bnGroups"])
        self.net.projector = Projector(self.net.width, o["hidden"], o["dim"])
        self.net.prototypes = nn.Linear(o["dim"], o["prototypes"], bias=False)
        self.sections = {"online": self.net}
        self.queues = [det_queue(name, o["queueSize"], o["dim"]) for name in ("global1", "global2")]

    def groups(self):
        """Prototypes have no decay."""
        own = [self.net.prototypes.weight]
        return [{"params": [p for p in self.net.parameters() if p is not own[0]]}, {"params": own, "weight_decay": 0.0}]

    def step(self, views, step, golden):
        o, n = self.o, golden["batch"]
        with torch.no_grad():
            self.net.prototypes.weight.copy_(F.normalize(self.net.prototypes.weight, dim=1))
        # [N,crops,3,H,W] -> crop by crop, so that the rows of crop v are v N, v N + 1, ...
        features = torch.cat([last_stage(self.net, torch.cat(v.unbind(1))).mean((2, 3)) for v in views.values()])
        z = F.normalize(self.net.projector(features), dim=1)
        scores = self.net.prototypes(z)
        queue_in_use = step >= o["queueEpoch"] and step * n >= o["queueSize"]
        total = len(scores) // n
        losses = []
        for i, queue in enumerate(self.queues):
            with torch.no_grad():
                rows = scores[i * n:(i + 1) * n]
                if queue_in_use:
                    rows = torch.cat([self.net.prototypes(queue.to(z)), rows])
                q = codes(rows, o["epsilon"], o["sinkhornIterations"])[-n:]
            others = [scores[v * n:(v + 1) * n] for v in range(total) if v != i]
            losses.append(sum(-(q * F.log_softmax(s / o["temperature"], dim=1)).sum(1).mean() for s in others) / (total - 1))
        self.new = [z[i * n:(i + 1) * n].detach() for i in range(2)]
        return sum(losses) / 2, {"global1": losses[0], "global2": losses[1]}, {"global1": self.new[0], "global2": self.new[1]}

    def before_update(self, step, golden):
        if step < self.o["frozenEpochs"]:
            self.net.prototypes.weight.grad.zero_()

    def settle(self, step, golden):
        n = golden["batch"]
        at = step * n % self.o["queueSize"]
        for i, new in enumerate(self.new):
            self.queues[i] = torch.cat([self.queues[i][:at].to(new), new, self.queues[i][at + n:].to(new)])


GOLDEN = {
    "method": "swav",
    "options": {"arch": "resnet18", "hidden": 64, "dim": 32, "prototypes": 12, "temperature": 0.1, "epsilon": 0.05,
                "sinkhornIterations": 3, "frozenEpochs": 1, "queueSize": 16, "queueEpoch": 3, "bnGroups": 1},
    "optimizer": {"name": "sgd", "lr": 2e-5, "momentum": 0.9, "weightDecay": 0.1},
    "batch": 8, "seed": 5, "totalSteps": 5, "stepsPerEpoch": 1,
    "views": {"global": [8, 2, 32, 32, 3], "local": [8, 2, 24, 24, 3]},
}

if __name__ == "__main__":
    main(SwAV, GOLDEN)
