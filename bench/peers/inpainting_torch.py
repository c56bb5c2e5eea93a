#!/usr/bin/env python3
"""An independent PyTorch statement of inpainting (Pathak et al. 2016, arXiv:1604.07379): `inpainting_torch.py golden.json [--check]`.

A picture has two boxes, which may overlap. What lies in any of them is set to 0, the mean of normalised pixels; the network is to tell it. The
loss is Eq. 1, |M (x - y)|^2, in the mean over hidden values of the batch; there is no adversarial loss. The decoder has five doublings: nearest
upsampling, 3x3 convolution, BN, ReLU, each with half the channels of the one before; then a linear layer at each pixel.

The file's lr is small because the loss of an untrained decoder is steep: at ten times the rate a rounding error of the first step is some hundred
times as large in the third. Its decay is large so that it shows.
Float32 against float64: loss 3e-6; gradNorm 3e-5; moved 2e-4; running statistics 7e-7; evalFeatures 1e-6.
"""
import torch, torch.nn.functional as F
from colorization_torch import Decoder, Head
from golden_torch import Method, det_uniform, last_stage, main, resnet

SIDE, BATCH, STEPS = 64, 8, 3


def drawn(step):
    """Boxes of each picture: left, top, width, height."""
    u = (det_uniform(f"mask.{step}", BATCH * 2 * 4).reshape(BATCH, 2, 4) * torch.tensor([40, 40, 24, 24])).long() + torch.tensor([0, 0, 1, 1])
    return u.tolist()


def picture(boxes):
    whole = {"left": 0, "top": 0, "width": SIDE, "height": SIDE}
    masks = [dict(zip(("left", "top", "width", "height"), box)) for box in boxes]
    return {"image": {"width": SIDE, "height": SIDE}, "box": whole, "flipped": False, "masks": masks}


class Inpainting(Method):
    def __init__(self, o):
        self.net = resnet(o["arch"], o["bnGroups"])
        widths = [o["hidden"] // 2 ** i for i in range(5)]
        self.net.decoder, self.net.head = Decoder([self.net.width] + widths), Head(widths[-1], 3)
        self.sections = {"online": self.net}

    def step(self, views, step, golden):
        x = views["masked"]
        m = torch.zeros_like(x[:, :1])
        for i, boxes in enumerate(drawn(step)):
            for left, top, width, height in boxes:
                m[i, :, top : top + height, left : left + width] = 1
        y = self.net.head(self.net.decoder(last_stage(self.net, (1 - m) * x))).permute(0, 3, 1, 2)
        return F.mse_loss(m * x, m * y, reduction="sum") / (3 * m.sum()), {}, {}


GOLDEN = {
    "method": "inpainting",
    "options": {"arch": "resnet18", "hidden": 64, "bnGroups": 1},
    "optimizer": {"name": "sgd", "lr": 0.0001, "momentum": 0.9, "weightDecay": 1.0},
    "batch": BATCH, "seed": 2, "totalSteps": STEPS,
    "views": {"masked": [BATCH, SIDE, SIDE, 3]},
    "samples": [{"plans": {"masked": [picture(boxes) for boxes in drawn(step)]}} for step in range(STEPS)],
}

if __name__ == "__main__":
    main(Inpainting, GOLDEN)
