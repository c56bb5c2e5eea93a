"""What the PyTorch statements of the methods share: numbers that any language can rebuild, torchvision's ResNet with grouped batch norm,
LARS, and the golden files. Needs python3-torch and python3-torchvision (Debian packages), nothing else.

A golden file (`simclr_torch.py`, `byol_torch.py`, `densecl_torch.py`; `detco_torch.py` writes an older form of its own) holds

    method, options, optimizer, batch, seed, totalSteps, views   what to run; a view's shape is [N, H, W, 3], or [N, k, H, W, 3] of k pictures an image
    stepsPerEpoch                                                if all steps are not of the first epoch
    samples[s].ordinals, .plans[VIEW]                            where a method asks: the images' numbers among all, and how each picture was made
    steps[s].loss, .terms                                        before the update; the parts of the loss without their weights
    steps[s].gradNorm                                            L2 norm of each trained parameter's gradient
    steps[s].probe                                               the first four values of the first two rows of what a step leaves to the next: keys
    steps[s].moved[SECTION]                                      after the step: L2 distance of each parameter from its start, in float64
    steps[s].runningMeanNorm, .runningVarNorm                    L2 norms of the trained network's batch norm statistics, after the step
    evalFeatures                                                 after the last step, in eval mode: stages of step 0's first view, pooled;
                                                                 norm of all, first eight values of the first two rows

Everything starts from names: a parameter as `det_param(name)`, the same in every network that has it; a queue or a bank as `det_queue(name)`; view V of step s as
`det_uniform("input.V.s.SEED") * 4 - 2` in float32, elements in NHWC order; one that the method takes as levels as `floor(256 u)` of the same u. All steps have the optimiser's lr.

Error of a value: |a-b| / (|b| + 0.02 * largest |b| of its group and step). Tolerances, those of `detco_torch.py`: loss, terms 2e-4; gradNorm
3e-2; probe 5e-3; moved of the trained network 1e-2, of another 2e-2; running statistics 1e-3; evalFeatures 5e-3. Learning rates and seeds
are chosen so that float32 stays well within them, with one thread and two, with oneDNN's convolutions and without (`--check`).
"""
import argparse, json, math
import torch, torch.nn as nn, torch.nn.functional as F
import torchvision

STAGES = ("res2", "res3", "res4", "res5")


# ---------------------------------------------------------------- numbers any language can rebuild
def fnv1a(text: str) -> int:
    h = 0x811C9DC5
    for b in text.encode():
        h = ((h ^ b) * 0x01000193) & 0xFFFFFFFF
    return h


def det_uniform(name: str, n: int) -> torch.Tensor:
    """n floats in [0,1): element i is the mulberry32 output for counter fnv1a(name) + (i+1)*0x6D2B79F5 (mod 2^32)."""
    M = 0xFFFFFFFF
    i = torch.arange(1, n + 1, dtype=torch.int64)
    t = (fnv1a(name) + i * 0x6D2B79F5) & M

    def imul(a, b):  # low 32 bits of a*b without overflow of int64
        lo = a * (b & 0xFFFF)
        hi = (a * (b >> 16)) & 0xFFFF
        return (lo + (hi << 16)) & M

    t = imul(t ^ (t >> 15), t | 1)
    t = t ^ ((t + imul(t ^ (t >> 7), t | 61)) & M)
    return ((t ^ (t >> 14)) & M).to(torch.float64).div(4294967296.0)


def det_param(name: str, shape) -> torch.Tensor:
    """Conv/linear weights: uniform(-a, a), a = sqrt(3 / fan_in). Biases: uniform(-0.1, 0.1). BN weight: 0.5 + u. BN bias: 0.2*(u-0.5)."""
    n = math.prod(shape)
    u = det_uniform(name, n).reshape(shape)
    if len(shape) > 1:
        a = math.sqrt(3.0 / math.prod(shape[1:]))
        return ((u * 2 - 1) * a).float()
    if name.endswith("bn.weight"):
        return (0.5 + u).float()
    if name.endswith("bn.bias"):
        return (0.2 * (u - 0.5)).float()
    return ((u * 2 - 1) * 0.1).float()


def det_view(tag: str, step: int, seed: int, shape) -> torch.Tensor:
    """A normalised-image-like input in [-2,2)."""
    return det_uniform(f"input.{tag}.{step}.{seed}", math.prod(shape)).reshape(shape).float() * 4 - 2


def det_levels(tag: str, step: int, seed: int, shape) -> torch.Tensor:
    """Levels of a picture, 0..255."""
    return (det_uniform(f"input.{tag}.{step}.{seed}", math.prod(shape)).reshape(shape) * 256).floor().float()


def det_permutation(tag: str, step: int, seed: int, n: int) -> torch.Tensor:
    return torch.argsort(det_uniform(f"perm.{tag}.{step}.{seed}", n))


def det_queue(name: str, rows: int, dim: int) -> torch.Tensor:
    return F.normalize(det_uniform(f"queue.{name}", rows * dim).reshape(rows, dim).float() - 0.5, dim=1)


# ---------------------------------------------------------------- networks
class GroupedBatchNorm(nn.BatchNorm2d):
    """Batch norm of maps [N,C,H,W] or vectors [N,C], the batch cut into `groups` equal contiguous groups, each normalised by its own
    statistics. Running statistics: buffer <- 0.9*buffer + 0.1*mean over groups of the group statistic (unbiased variance)."""
    groups = 1

    def _check_input_dim(self, x):
        pass

    def forward(self, x):
        if not self.training or self.groups == 1:
            return super().forward(x)
        outs, means, varis = [], [], []
        for g in x.chunk(self.groups):
            m = torch.zeros_like(self.running_mean); v = torch.ones_like(self.running_var)
            outs.append(F.batch_norm(g, m, v, self.weight, self.bias, True, 1.0, self.eps))
            means.append(m); varis.append(v)
        with torch.no_grad():
            self.running_mean.lerp_(torch.stack(means).mean(0), self.momentum)
            self.running_var.lerp_(torch.stack(varis).mean(0), self.momentum)
        return torch.cat(outs)


def resnet(arch: str, groups: int):
    """torchvision's ResNet without its classifier. Heads are attached as submodules, so that `named_params` names all of a network."""
    GroupedBatchNorm.groups = groups
    net = getattr(torchvision.models, arch)(weights=None, norm_layer=GroupedBatchNorm)
    net.width, net.fc = net.fc.in_features, nn.Identity()
    return net


def stages(net, x):
    """The maps of res2 to res5, [N,C,H,W] each, one after the other: a caller that pools them holds one at a time."""
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    for layer in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = layer(x)
        yield x


def last_stage(net, x):
    *_, res5 = stages(net, x)
    return res5


def named_params(net):
    """The names both sides agree on: torchvision's, with a batch norm's as '<module>.bn.*'."""
    for k, p in net.named_parameters():
        mod, last = k.rsplit(".", 1)
        yield (f"{mod}.bn.{last}" if isinstance(net.get_submodule(mod), nn.BatchNorm2d) else k), p


# ---------------------------------------------------------------- LARS
class LARS(torch.optim.Optimizer):
    """You et al. 2017 (arXiv:1708.03888) as SimCLR and BYOL use it: v <- m v + r (g + d p), p <- p - lr v, with the trust ratio
    r = trust |p| / |g + d p|, 1 where either norm is 0. Biases and batch norms have neither decay nor ratio."""

    def __init__(self, params, lr, momentum, weight_decay, trust):
        super().__init__(params, dict(lr=lr, m=momentum, d=weight_decay, trust=trust))

    @torch.no_grad()
    def step(self):
        for o in self.param_groups:
            for p in o["params"]:
                g = p.grad
                if p.dim() > 1:
                    g = g + o["d"] * p
                    if p.norm() > 0 and g.norm() > 0:
                        g = o["trust"] * p.norm() / g.norm() * g
                v = self.state[p].setdefault("v", torch.zeros_like(p))
                v.mul_(o["m"]).add_(g)
                p.sub_(o["lr"] * v)


OPTIMIZERS = {
    "lars": lambda params, o: LARS(params, o["lr"], o["momentum"], o["weightDecay"], o["trust"]),
    "sgd": lambda params, o: torch.optim.SGD(params, o["lr"], momentum=o["momentum"], weight_decay=o["weightDecay"]),
}


# ---------------------------------------------------------------- golden files
class Method:
    """What `run` knows of a method: `self.sections`, networks by name, of which the first is trained, and two functions."""
    levels = ()  # views that it takes as levels

    def step(self, views, step, golden):
        """-> loss, its terms, and the embeddings that it leaves to the next step; views are [N,3,H,W], or [N,k,3,H,W]"""
        raise NotImplementedError

    def groups(self):
        """The trained parameters in groups, where the optimiser is to treat them unlike each other."""

    def before_update(self, step, golden):
        """What is done to gradients."""

    def settle(self, step, golden):
        """What follows the optimiser's update."""


def run(make, golden, dtype):
    """The steps and evalFeatures of a golden file, computed in `dtype`."""
    method = make(golden["options"])
    nets = method.sections
    start = {name: det_param(name, p.shape) for net in nets.values() for name, p in named_params(net)}
    for net in nets.values():
        with torch.no_grad():
            for name, p in named_params(net):
                p.copy_(start[name])
        net.to(dtype).train()
    trained, *others = nets.values()
    for net in others:
        net.requires_grad_(False)
    opt = OPTIMIZERS[golden["optimizer"]["name"]](method.groups() or trained.parameters(), golden["optimizer"])

    def views(step):
        return {k: (det_levels if k in method.levels else det_view)(k, step, golden["seed"], shape).movedim(-1, -3).to(dtype) for k, shape in golden["views"].items()}

    def norms(named):
        return {k: t.detach().double().norm().item() for k, t in named}

    steps = []
    for step in range(golden["totalSteps"]):
        loss, terms, embeddings = method.step(views(step), step, golden)
        opt.zero_grad(); loss.backward(); method.before_update(step, golden)
        rec = {"loss": loss.item(), "terms": {k: v.item() for k, v in terms.items()},
               "gradNorm": norms((k, p.grad) for k, p in named_params(trained)),
               "probe": {k: e[:2, :4].flatten().tolist() for k, e in embeddings.items()}}
        opt.step(); method.settle(step, golden)
        rec["moved"] = {section: norms((k, p.double() - start[k].double()) for k, p in named_params(net))
                        for section, net in nets.items()}
        for key, end in (("runningMeanNorm", "running_mean"), ("runningVarNorm", "running_var")):
            rec[key] = norms((k, b) for k, b in trained.named_buffers() if k.endswith(end))
        steps.append(rec)
        print(f"step {step}: loss {loss.item():.6f}", flush=True)
    trained.eval()
    with torch.no_grad():
        first = next(iter(views(0).values()))
        feats = {s: m.mean((2, 3)) for s, m in zip(STAGES, stages(trained, first.reshape(-1, *first.shape[-3:])))}
    return {"steps": steps, "evalFeatures": {s: {"norm": f.double().norm().item(), "probe": f[:2, :8].flatten().tolist()} for s, f in feats.items()}}


def flat(x):
    if isinstance(x, dict):
        x = list(x.values())
    return [v for y in x for v in flat(y)] if isinstance(x, list) else [x]


def errors(a, b):
    """The largest |a-b| / (|b| + 0.02 * largest |b| of its group and step) of each group."""
    def groups(run):
        for s in run["steps"]:
            for k, v in s.items():
                yield from ((f"moved.{section}", m) for section, m in v.items()) if k == "moved" else [(k, v)]
        yield "evalFeatures", run["evalFeatures"]
    worst = {}
    for (k, x), (_, y) in zip(groups(a), groups(b)):
        x, y = flat(x), flat(y)
        largest = max(map(abs, y), default=0)
        worst[k] = max([worst.get(k, 0)] + [abs(p - q) / (abs(q) + 0.02 * largest) for p, q in zip(x, y) if p != q])
    return worst


def main(make, golden):
    p = argparse.ArgumentParser(description="Writes the method's golden file.")
    p.add_argument("out")
    p.add_argument("--check", action="store_true", help="print how far float32 is from float64, with oneDNN's convolutions or without")
    a = p.parse_args()
    torch.set_num_threads(2)
    result = run(make, golden, torch.float32)
    json.dump({**golden, **result}, open(a.out, "w"))
    if a.check:
        exact = run(make, golden, torch.float64)
        with torch.backends.mkldnn.flags(enabled=False):
            other = run(make, golden, torch.float32)
        for k, e in errors(result, exact).items():
            print(f"{k:16} {max(e, errors(other, exact)[k]):.1e}")
