#!/usr/bin/env python3
"""An independent PyTorch statement of one DetCo training step: the yardstick for numbers and for speed.

Needs python3-torch and python3-torchvision (Debian packages), nothing else.

    detco_torch.py golden --out golden.json [--batch 4 --global-size 64 --patch-size 32 ...]
    detco_torch.py bench  [--batch 8 --global-size 224 --patch-size 64 --bf16 --no-tf32 --device cuda --steps 5 --threads 2 --mode compile+graph]

`golden` runs a few steps from weights and inputs that any language can rebuild (`golden_torch.py`)
and writes what it saw: every loss term, key probes, gradient norms, and how far each parameter has moved (L2 norm of
the difference from its start, in float64). Learning rates and step counts of the files in golden/ are chosen so that float32
rounding does not grow into another trajectory. Error of a value: |a-b| / (|b| + 0.02 * largest |b| of its group and step).
Tolerances, about five times what float32 against float64 shows: loss, terms 2e-4; gradNorm 3e-2; keyProbe 5e-3;
paramMoved 1e-2; keyParamMoved 2e-2; running statistics 1e-3; evalFeatures 5e-3.
`bench` times the same step as a PyTorch user would run it (channels_last, optional bf16 autocast; on CUDA cuDNN's search and TF32): `eager`,
forwards and losses by `torch.compile` (`compile`, PyTorch 2), the whole update recorded as a CUDA graph (`graph`), or both (`compile+graph`).

Semantics (the paper, and MoCo v2 where the paper says "same as MoCo v2"):
  step: key <- m*key + (1-m)*query (parameters only, not BN buffers); query forward: global view, then
  the nine patches as one batch of 9N (image-major), each in train-mode BN; key forward the same, no
  gradient; 12 InfoNCE terms against the queues as they stood before the step; SGD; enqueue keys.
  BN groups: the batch is cut into G equal contiguous groups, each normalised by its own statistics.
  For keys the images are permuted first and un-permuted after (ShuffleBN); the nine patches of an
  image stay together. Running statistics: buffer <- 0.9*buffer + 0.1*mean over groups of the group
  statistic (unbiased variance), global forward first, then patches.
"""
import argparse, json, resource, time
import torch, torch.nn as nn, torch.nn.functional as F
from golden_torch import STAGES, det_param, det_permutation, det_queue, det_view, resnet, stages
from golden_torch import named_params as network_params


# ---------------------------------------------------------------- the model
class Head(nn.Sequential):
    def __init__(self, i, hidden, o):
        super().__init__(nn.Linear(i, hidden), nn.ReLU(), nn.Linear(hidden, o))


class Encoder(nn.Module):
    """torchvision ResNet + one global and one local MLP head a stage; all heads L2-normalised to 128-d."""

    def __init__(self, arch="resnet50", groups=1, hidden=None, dim=128):
        super().__init__()
        self.net = resnet(arch, groups)
        chans = [64, 128, 256, 512] if arch in ("resnet18", "resnet34") else [256, 512, 1024, 2048]
        self.globals_ = nn.ModuleList(Head(c, hidden or c, dim) for c in chans)
        self.locals_ = nn.ModuleList(Head(9 * c, hidden or c, dim) for c in chans)

    def stages(self, x):
        return [m.mean((2, 3)) for m in stages(self.net, x)]  # pooled, [N, C] a stage

    def forward(self, images, patches):
        """images [N,3,H,W]; patches [N,9,3,h,w] -> (four global [N,128], four local [N,128])"""
        n = patches.shape[0]
        g = [F.normalize(h(f), dim=1) for h, f in zip(self.globals_, self.stages(images))]
        p = self.stages(patches.flatten(0, 1))
        l = [F.normalize(h(f.reshape(n, -1)), dim=1) for h, f in zip(self.locals_, p)]
        return g, l


def named_params(enc: Encoder):
    yield from network_params(enc.net)
    for kind, heads in (("global", enc.globals_), ("local", enc.locals_)):
        for s, h in zip(STAGES, heads):
            for j, lin in ((1, h[0]), (2, h[2])):
                yield f"head.{kind}.{s}.fc{j}.weight", lin.weight
                yield f"head.{kind}.{s}.fc{j}.bias", lin.bias


class DetCo(nn.Module):
    def __init__(self, arch, groups, K, m=0.999, T=0.2, weights=(0.1, 0.4, 0.7, 1.0), hidden=None, dim=128):
        super().__init__()
        self.q, self.k = Encoder(arch, groups, hidden, dim), Encoder(arch, groups, hidden, dim)
        self.K, self.m, self.T, self.w, self.ptr = K, m, T, weights, 0
        self.queues = {f"{kind}.{s}": det_queue(f"{kind}.{s}", K, dim) for kind in ("global", "local") for s in STAGES}

    def init_deterministic(self):
        with torch.no_grad():
            for (name, p), (_, kp) in zip(named_params(self.q), named_params(self.k)):
                p.copy_(det_param(name, p.shape)); kp.copy_(p); kp.requires_grad_(False)

    def nce(self, q, k, queue):
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.t()], 1) / self.T
        return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))

    def follow(self):
        with torch.no_grad():
            for (_, p), (_, kp) in zip(named_params(self.q), named_params(self.k)):
                kp.lerp_(p, 1 - self.m)

    def step_loss(self, iq, ik, pq, pk, perm_g=None, perm_l=None):
        self.follow()
        return self.losses(iq, ik, pq, pk, perm_g, perm_l)

    def losses(self, iq, ik, pq, pk, perm_g=None, perm_l=None):
        qg, ql = self.q(iq, pq)
        with torch.no_grad():
            n = len(ik)
            perm_g = torch.arange(n) if perm_g is None else perm_g
            perm_l = torch.arange(n) if perm_l is None else perm_l
            kg, kl = self.k(ik[perm_g], pk[perm_l])
            kg = [x[torch.argsort(perm_g)] for x in kg]; kl = [x[torch.argsort(perm_l)] for x in kl]
        terms = {}
        for i, s in enumerate(STAGES):
            terms[f"gg.{s}"] = self.nce(qg[i], kg[i], self.queues[f"global.{s}"])
            terms[f"ll.{s}"] = self.nce(ql[i], kl[i], self.queues[f"local.{s}"])
            terms[f"gl.{s}"] = self.nce(ql[i], kg[i], self.queues[f"global.{s}"])
        loss = sum(w * (terms[f"gg.{s}"] + terms[f"ll.{s}"] + terms[f"gl.{s}"]) for w, s in zip(self.w, STAGES))
        return loss, terms, (kg, kl)

    def enqueue(self, keys):
        kg, kl = keys
        n = len(kg[0])
        assert self.K % n == 0
        for i, s in enumerate(STAGES):
            self.queues[f"global.{s}"][self.ptr:self.ptr + n] = kg[i].float()
            self.queues[f"local.{s}"][self.ptr:self.ptr + n] = kl[i].float()
        self.ptr = (self.ptr + n) % self.K


def inputs(step, a):
    """Normalised-image-like inputs in [-2,2), NHWC order of elements, view names 'iq','ik','pq','pk'."""
    n, G, P = a.batch, a.global_size, a.patch_size
    iq, ik = (det_view(t, step, a.seed, (n, G, G, 3)).permute(0, 3, 1, 2) for t in ("iq", "ik"))
    pq, pk = (det_view(t, step, a.seed, (n, 9, P, P, 3)).permute(0, 1, 4, 2, 3) for t in ("pq", "pk"))
    return iq, ik, pq, pk, *(det_permutation(t, step, a.seed, n) for t in ("global", "local"))


def golden(a):
    torch.set_num_threads(2)
    net = DetCo(a.arch, a.groups, a.K, a.momentum_key, a.temperature, hidden=a.hidden); net.init_deterministic(); net.train()
    opt = torch.optim.SGD(net.q.parameters(), lr=a.lr, momentum=0.9, weight_decay=1e-4)
    out = {"config": {k: v for k, v in vars(a).items() if k not in ("cmd", "out")}, "steps": []}
    for step in range(a.steps):
        loss, terms, keys = net.step_loss(*inputs(step, a))
        opt.zero_grad(); loss.backward()
        rec = {"loss": loss.item(), "terms": {k: v.item() for k, v in terms.items()},
               "gradNorm": {n: p.grad.double().norm().item() for n, p in named_params(net.q)},
               "keyProbe": {f"{kind}.{s}": keys[j][i][:2, :4].flatten().tolist()
                            for j, kind in enumerate(("global", "local")) for i, s in enumerate(STAGES)}}
        opt.step(); net.enqueue(keys)
        with torch.no_grad():
            for key, enc in (("paramMoved", net.q), ("keyParamMoved", net.k)):
                rec[key] = {n: (p.double() - det_param(n, p.shape).double()).norm().item() for n, p in named_params(enc)}
        rec["runningMeanNorm"] = {n: b.double().norm().item() for n, b in net.q.net.named_buffers() if n.endswith("running_mean")}
        rec["runningVarNorm"] = {n: b.double().norm().item() for n, b in net.q.net.named_buffers() if n.endswith("running_var")}
        out["steps"].append(rec)
        print(f"step {step}: loss {loss.item():.6f}", flush=True)
    net.eval()
    with torch.no_grad():
        feats = net.q.stages(inputs(0, a)[0])
    out["evalFeatures"] = {s: {"norm": f.double().norm().item(), "probe": f[:2, :8].flatten().tolist()} for s, f in zip(STAGES, feats)}
    json.dump(out, open(a.out, "w"))


def graphed(step):
    """The update as a CUDA graph, after the warm-up on a stream of its own that PyTorch asks for; a call replays it. The queues' pointer stays
    where it was when it was recorded: as much is written."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()

    def replay():
        graph.replay()
        return loss
    return replay


def bench(a):
    torch.set_num_threads(a.threads)
    dev, compiled, recorded = a.device, "compile" in a.mode, "graph" in a.mode
    if recorded and dev != "cuda":
        raise ValueError(f"--mode {a.mode} with --device {dev}: a graph needs --device cuda; use eager or compile")
    if compiled and not hasattr(torch, "compile"):
        raise RuntimeError(f"--mode {a.mode}: PyTorch {torch.__version__} has no torch.compile; PyTorch 2 has")
    net = DetCo(a.arch, a.groups, a.K, a.momentum_key, a.temperature, hidden=a.hidden); net.init_deterministic(); net.train().to(dev, memory_format=torch.channels_last)
    net.queues = {k: v.to(dev) for k, v in net.queues.items()}
    opt = torch.optim.SGD(net.q.parameters(), lr=a.lr, momentum=0.9, weight_decay=1e-4)
    data = [t.to(dev) for t in inputs(0, a)[:4]]
    data = [t.contiguous(memory_format=torch.channels_last) if t.dim() == 4 else t for t in data]
    data += [torch.randperm(a.batch).to(dev) for _ in range(2)]  # one for each kind of key view
    sync = torch.cuda.synchronize if dev == "cuda" else (lambda: None)
    if dev == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = not a.no_tf32
    if compiled:
        net.losses = torch.compile(net.losses)

    def update():
        opt.zero_grad(set_to_none=True); net.follow()
        # A graph may not hold casts that autocast keeps for later calls.
        with torch.autocast(dev if dev == "cuda" else "cpu", dtype=torch.bfloat16, enabled=a.bf16, cache_enabled=not recorded):
            loss, _, keys = net.losses(*data)
        loss.backward(); opt.step(); net.enqueue(keys)
        return loss

    step = graphed(update) if recorded else update
    times = []
    for _ in range(a.steps + a.warmup):
        sync(); t0 = time.perf_counter()
        loss = step()
        sync(); times.append(time.perf_counter() - t0)
    t = sorted(times[a.warmup:])
    out = {"torch": torch.__version__, "device": dev, "deviceName": torch.cuda.get_device_name() if dev == "cuda" else "cpu",
           "threads": torch.get_num_threads(), "mode": a.mode, "bf16": a.bf16, "tf32": dev == "cuda" and not a.no_tf32, "arch": a.arch, "batch": a.batch,
           "globalSize": a.global_size, "patchSize": a.patch_size, "loss": loss.item(), "medianStepMs": 1e3 * t[len(t) // 2],
           "imagesPerSecond": a.batch / t[len(t) // 2], "stepMs": [1e3 * x for x in times[a.warmup:]],
           "warmUpMs": [1e3 * x for x in times[:a.warmup]],
           "peakRssMB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}  # KiB on Linux
    if dev == "cuda":
        out |= {"peakDeviceMB": torch.cuda.max_memory_allocated() / 2**20, "peakDeviceReservedMB": torch.cuda.max_memory_reserved() / 2**20}
    print(json.dumps(out))


if __name__ == "__main__":
    p = argparse.ArgumentParser(); sub = p.add_subparsers(dest="cmd", required=True)
    for name, batch, g, ps, K, steps in (("golden", 4, 64, 32, 64, 3), ("bench", 8, 224, 64, 65536, 5)):
        s = sub.add_parser(name)
        s.add_argument("--arch", default="resnet50"); s.add_argument("--batch", type=int, default=batch)
        s.add_argument("--global-size", type=int, default=g); s.add_argument("--patch-size", type=int, default=ps)
        s.add_argument("--groups", type=int, default=1); s.add_argument("--K", type=int, default=K)
        s.add_argument("--steps", type=int, default=steps); s.add_argument("--lr", type=float, default=5e-4)
        s.add_argument("--momentum-key", type=float, default=0.9); s.add_argument("--temperature", type=float, default=0.2)
        s.add_argument("--hidden", type=int, default=None, help="head hidden width; default the stage's channels"); s.add_argument("--seed", type=int, default=0)
        if name == "golden": s.add_argument("--out", required=True)
        else:
            s.add_argument("--warmup", type=int, default=2); s.add_argument("--threads", type=int, default=2)
            s.add_argument("--bf16", action="store_true"); s.add_argument("--device", default="cpu")
            s.add_argument("--mode", default="eager", choices=("eager", "graph", "compile", "compile+graph"))
            s.add_argument("--no-tf32", action="store_true", help="float32 products and convolutions in full on CUDA")
    a = p.parse_args()
    {"golden": golden, "bench": bench}[a.cmd](a)
