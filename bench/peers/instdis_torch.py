#!/usr/bin/env python3
"""An independent PyTorch statement of InstDis (Wu et al. 2018, arXiv:1805.01978): `instdis_torch.py golden.json [--check]`.

One view, a linear head, a memory bank of n entries. Of a step: v = normalise(head(features)); NCE (section 3.2) of the image's entry against m
entries that the batch has in common, stated in probabilities:

    P(i|v) = exp(v.f_i/tau) / Z              Eq. 5
    h(i, v) = P / (P + m/n)                  Eq. 6, the noise is uniform: 1/n
    L = -log h(i, v) - sum_j log(1 - h(j, v)), the mean over images       Eq. 7, one sample of m for the batch
    Z = n mean exp(v.f/tau) over all that the first step compares, the image's own entry too; a constant afterwards   Eq. 8

After SGD the entries of the step's images become normalise(momentum f + (1-momentum) v), v of the forward pass (lemniscate.pytorch,
NCEAverage.py). Eq. 8 takes random entries alone; the authors' code takes the own ones too.

The numbers of the negatives are a function of their name: those of step s are floor(n det_uniform("negatives.s.SEED")). Seven of
the last step's images come a second time, so that a bank that is not updated shows in its loss. `probe`: v.

The rate is low because the loss is steep: Z is that of a random bank, and untrained features of noise hardly differ between images, so entries soon are
far closer than random ones. Float32 against float64: loss 3e-7; gradNorm 2e-6; probe 3e-5; moved 3e-4; running statistics 1e-7; evalFeatures 5e-7
"""
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import Method, det_queue, det_uniform, last_stage, main, resnet


def det_negatives(step, golden):
    o = golden["options"]
    return (det_uniform(f"negatives.{step}.{golden['seed']}", o["negatives"]) * o["images"]).long()


def nce(v, own, others, n, temperature, Z):
    """The loss of Eq. 7, and the Z of Eq. 8 that it was made with: `Z`, or of these scores where there is none."""
    e = torch.cat([(v * own).sum(1, keepdim=True), v @ others.t()], 1).div(temperature).exp()
    if Z is None:
        Z = n * e.detach().mean()
    P, noise = e / Z, len(others) / n
    h = P / (P + noise)
    return -(h[:, 0].log() + (1 - h[:, 1:]).log().sum(1)).mean(), Z


def info_nce(v, own, others, temperature):
    logits = torch.cat([(v * own).sum(1, keepdim=True), v @ others.t()], 1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(v), dtype=torch.long))


class InstDis(Method):
    def __init__(self, o):
        self.o, self.Z = o, None
        self.net = resnet(o["arch"], o["bnGroups"])
        self.net.head = nn.ModuleDict({"fc1": nn.Linear(self.net.width, o["dim"])})
        self.sections = {"online": self.net}
        self.bank = det_queue("entries", o["images"], o["dim"])

    def step(self, views, step, golden):
        self.bank = self.bank.to(views["image"].dtype)
        self.v = F.normalize(self.net.head["fc1"](last_stage(self.net, views["image"]).mean((2, 3))), dim=1)
        own, others = self.bank[golden["samples"][step]["ordinals"]], self.bank[det_negatives(step, golden)]
        if self.o["loss"] == "softmax":
            loss = info_nce(self.v, own, others, self.o["temperature"])
        else:
            loss, self.Z = nce(self.v, own, others, self.o["images"], self.o["temperature"], self.Z)
        return loss, {}, {"entries": self.v}

    @torch.no_grad()
    def settle(self, step, golden):
        m = self.o["bankMomentum"]
        for i, v in zip(golden["samples"][step]["ordinals"], self.v):
            self.bank[i] = F.normalize(m * self.bank[i] + (1 - m) * v, dim=0)


SAMPLES = [{"ordinals": o} for o in ([3, 9, 0, 12, 7, 1, 15, 4], [2, 5, 6, 8, 10, 3, 13, 14], [9, 12, 11, 3, 0, 7, 2, 5])]
GOLDEN = {
    "method": "instdis",
    "options": {"arch": "resnet18", "dim": 128, "images": 16, "negatives": 12, "loss": "nce", "temperature": 0.2, "bankMomentum": 0.3, "bnGroups": 2},
    "optimizer": {"name": "sgd", "lr": 0.0004, "momentum": 0.9, "weightDecay": 0.05},
    "batch": 8, "seed": 1, "totalSteps": 3,
    "views": {"image": [8, 64, 64, 3]},
    "samples": SAMPLES,
}

if __name__ == "__main__":
    main(InstDis, GOLDEN)
