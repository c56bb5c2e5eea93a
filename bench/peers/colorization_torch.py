#!/usr/bin/env python3
"""An independent PyTorch statement of colorization (Zhang et al. 2016, arXiv:1603.08511): `colorization_torch.py golden.json [--check]`.

The view holds L x 255/100, a + 128, b + 128 as levels. The network sees L alone, in three channels that are normalised as red, green and blue
are elsewhere, and tells for each cell of a map how likely each bin of (a, b) is. Bins are the points of a grid of 10 next to which some colour
of sRGB lies, found among all 2^24 of them. The target of a cell is the mean of its a and b, shared among its five nearest bins by a Gaussian of
standard deviation 5 and normalised (section 2.2); bins as far away as the fifth count. The loss is the cross-entropy (Eq. 2), without weights
for rare colours, in the mean over cells.

The decoder doubles the map by nearest upsampling, then 3x3 convolution, BN, ReLU.
Float32 against float64: loss 3e-7; gradNorm 2e-3; moved 5e-4; running statistics 3e-7; evalFeatures 5e-5.
"""
import functools
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import GroupedBatchNorm, Method, last_stage, main, resnet

MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


def lab(rgb):
    """sRGB [M,3] in 0..255 -> L, a, b by the white of D65, float64."""
    v = rgb.double() / 255
    v = torch.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)
    m = torch.tensor([[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]], dtype=torch.float64)
    t = v @ (m / m.sum(1, keepdim=True)).t()
    f = torch.where(t > 216 / 24389, t.clamp(min=1e-12) ** (1 / 3), (24389 / 27 * t + 16) / 116)
    x, y, z = f.unbind(1)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@functools.cache
def gamut(grid=10):
    """Centres [Q,2], by a and then by b."""
    level, least = torch.arange(256), -20
    found = torch.zeros(41, 41, dtype=torch.bool)
    for red in range(256):
        _, a, b = lab(torch.cartesian_prod(torch.tensor([red]), level, level))
        found[(a / grid).round().long() - least, (b / grid).round().long() - least] = True
    return (found.nonzero() + least) * grid


class Decoder(nn.Module):
    def __init__(self, widths):
        super().__init__()
        self.count = len(widths) - 1
        for i, (c, d) in enumerate(zip(widths, widths[1:]), 1):
            setattr(self, f"conv{i}", nn.Conv2d(c, d, 3, padding=1, bias=False))
            setattr(self, f"bn{i}", GroupedBatchNorm(d))

    def forward(self, x):
        for i in range(1, self.count + 1):
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            x = F.relu(getattr(self, f"bn{i}")(getattr(self, f"conv{i}")(x)))
        return x


class Head(nn.Module):
    """A linear layer at each cell: [N,C,h,w] -> [N,h,w,out]"""

    def __init__(self, i, o):
        super().__init__()
        self.fc1 = nn.Linear(i, o)

    def forward(self, x):
        return self.fc1(x.permute(0, 2, 3, 1))


def shares(ab, bins):
    """[M,2], [Q,2] -> [M,Q], each row of sum 1"""
    d = (ab[:, None] - bins[None]).square().sum(2)
    fifth = d.sort(1).values[:, 4:5]
    z = torch.where(d <= fifth, torch.exp((d.amin(1, keepdim=True) - d) / (2 * 5 ** 2)), torch.zeros_like(d))
    return z / z.sum(1, keepdim=True)


class Colorization(Method):
    levels = ("lab",)

    def __init__(self, o):
        self.net, self.bins = resnet(o["arch"], o["bnGroups"]), gamut()
        self.net.decoder = Decoder([self.net.width] + [o["hidden"]] * o["doublings"])
        self.net.head = Head(o["hidden"], len(self.bins))
        self.side = 32 // 2 ** o["doublings"]
        self.sections = {"online": self.net}

    def step(self, views, step, golden):
        x = views["lab"]
        grey = (x[:, :1] / 255 - MEAN.to(x)) / STD.to(x)
        ab = F.avg_pool2d(x[:, 1:] - 128, self.side).permute(0, 2, 3, 1).reshape(-1, 2)
        logits = self.net.head(self.net.decoder(last_stage(self.net, grey)))
        loss = -(shares(ab, self.bins.to(x)) * F.log_softmax(logits.reshape(len(ab), -1), 1)).sum(1).mean()
        return loss, {}, {}


GOLDEN = {
    "method": "colorization",
    "options": {"arch": "resnet18", "hidden": 32, "doublings": 1, "bnGroups": 1},
    "optimizer": {"name": "sgd", "lr": 0.001, "momentum": 0.9, "weightDecay": 0.1},
    "batch": 8, "seed": 2, "totalSteps": 3,
    "views": {"lab": [8, 64, 64, 3]},
}

if __name__ == "__main__":
    main(Colorization, GOLDEN)
