"""Other people's readers and writers of weights, for tests: `peers.py COMMAND ARGUMENTS` prints its result as JSON."""

import argparse
import collections
import json
import pickle
import sys

import numpy as np


def narrow(state, by):
    """A state dict of a ResNet `by` times narrower: the first channels of each tensor, but for the colours of the image."""
    cut = {}
    for name, tensor in state.items():
        if name.startswith("fc."):
            continue
        sides = [side if side in (1, 3, 7) or axis > 1 else side // by for axis, side in enumerate(tensor.shape)]
        cut[name] = tensor[tuple(slice(side) for side in sides)].clone()
    return collections.OrderedDict(cut)


def moved(model):
    """Running statistics as of a network that has seen images."""
    import torch

    for name, buffer in model.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
    return model.eval()


def write_forms(folder, by=16):
    """One ResNet-18, `by` times narrower than it is, in the form of each project; and sums of its values by torchvision's names."""
    import torch
    import torchvision

    torch.manual_seed(1)
    state = narrow(moved(torchvision.models.resnet18()).state_dict(), int(by))
    other = collections.OrderedDict((name, tensor + 1) for name, tensor in state.items())
    head = {"fc.weight": torch.ones(2, 32), "fc.bias": torch.ones(2)}

    def under(prefix, tensors):
        return collections.OrderedDict((prefix + name, tensor) for name, tensor in tensors.items())

    def save(name, value, **options):
        torch.save(value, f"{folder}/{name}", **options)

    save("torchvision.pth", collections.OrderedDict(list(state.items()) + list(head.items())))
    save("old.pth", state, _use_new_zipfile_serialization=False)
    save("parameters.pth", collections.OrderedDict((n, torch.nn.Parameter(t) if t.is_floating_point() else t) for n, t in state.items()))
    save("channels-last.pth", {n: t.to(memory_format=torch.channels_last) if t.dim() == 4 else t for n, t in state.items()})
    save("half.pth", {n: t.half() if t.is_floating_point() else t for n, t in state.items()})
    save("bfloat16.pth", {n: t.bfloat16() if t.is_floating_point() else t for n, t in state.items()})
    save("double.pth", {n: t.double() if t.is_floating_point() else t for n, t in state.items()})
    save("expanded.pth", {n: t[:1].clone().expand(t.shape) if t.dim() == 1 and bool((t == t[0]).all()) else t for n, t in state.items()})
    flat = torch.cat([t.flatten() for t in state.values() if t.is_floating_point()])
    shared, at = collections.OrderedDict(), 0
    for name, tensor in state.items():
        if tensor.is_floating_point():
            shared[name] = flat[at : at + tensor.numel()].view(tensor.shape)
            at += tensor.numel()
    save("one-storage.pth", shared)

    parameters = [torch.nn.Parameter(tensor.clone()) for tensor in state.values() if tensor.is_floating_point()]
    optimizer = torch.optim.SGD(parameters, 0.03, momentum=0.9)
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()
    moco = {
        **under("module.encoder_q.", {**state, "fc.0.weight": torch.ones(4, 4), "fc.2.bias": torch.ones(4)}),
        **under("module.encoder_k.", {**other, "fc.0.weight": torch.ones(4, 4), "fc.2.bias": torch.ones(4)}),
        "module.queue": torch.ones(4, 8),
        "module.queue_ptr": torch.zeros(1, dtype=torch.long),
    }
    whole = {"epoch": 200, "arch": "resnet18", "state_dict": moco, "optimizer": optimizer.state_dict()}
    save("moco.pth.tar", whole)
    save("moco-old.pth.tar", whole, _use_new_zipfile_serialization=False)
    save("openselfsup.pth", {"state_dict": state, "author": "OpenSelfSup"})
    alias = {**under("encoder_q.0.", state), "encoder_q.1.mlp.0.weight": torch.ones(2, 2)}
    save(
        "openselfsup-run.pth",
        {"meta": {"epoch": 1, "time": "now"}, "state_dict": {**alias, **under("encoder_k.0.", other), **under("backbone.", state), "queue": torch.ones(2)}},
    )
    trunk = under("_feature_blocks.", state)
    save("vissl.torch", {"classy_state_dict": {"base_model": {"model": {"trunk": trunk, "heads": head}, "meta": {}}}, "iteration": 1})
    dino = {"student": under("module.backbone.", other), "teacher": {**under("module.backbone.", state), "module.head.mlp.0.weight": torch.ones(2, 2)}}
    save("dino.pth", {**dino, "args": argparse.Namespace(arch="resnet18", lr=0.03), "epoch": 3})
    save("simsiam.pth.tar", {"state_dict": {**under("module.encoder.", {**state, **head}), "module.predictor.0.weight": torch.ones(2, 2)}})

    arrays = {to_detectron2(name): tensor.numpy() for name, tensor in state.items()}
    for protocol in (2, 3, 4, 5):
        with open(f"{folder}/detectron2-{protocol}.pkl", "wb") as file:
            pickle.dump({"model": arrays, "__author__": "MOCO", "matching_heuristics": True}, file, protocol=protocol)
    return sums({name: tensor for name, tensor in state.items()})


def to_detectron2(name):
    """The converter of MoCo (detection/convert-pretrain-to-detectron2.py), restated."""
    if "layer" not in name:
        name = "stem." + name
    for stage in (1, 2, 3, 4):
        name = name.replace(f"layer{stage}", f"res{stage + 1}")
    for unit in (1, 2, 3):
        name = name.replace(f"bn{unit}", f"conv{unit}.norm")
    return name.replace("downsample.0", "shortcut").replace("downsample.1", "shortcut.norm")


def sums(tensors):
    """Of each floating-point tensor: its shape, and sums that tell its values and their order."""
    result = {}
    for name, tensor in tensors.items():
        values = np.asarray(tensor)
        if values.dtype.kind == "f":
            flat = values.astype(np.float64).reshape(-1)
            result[name] = [list(values.shape), float(flat.sum()), float((flat * np.cos(np.arange(flat.size))).sum())]
    return result


def load_torch(path, *keys):
    """A state dict, loaded with weights_only."""
    import torch

    state = torch.load(path, weights_only=True)
    for key in keys:
        state = state[key]
    counts = sorted({(int(t), str(t.dtype), t.dim()) for n, t in state.items() if n.endswith("num_batches_tracked")})
    return {"keys": list(state), "sums": sums(state), "counts": counts, "contiguous": all(t.is_contiguous() for t in state.values())}


def strict(path, arch):
    """torchvision's own strict load, but for the classifier."""
    import torch
    import torchvision

    model = getattr(torchvision.models, arch)()
    state = torch.load(path, weights_only=True)
    missing, unexpected = model.load_state_dict(state, strict=False)
    return {"missing": missing, "unexpected": unexpected}


def load_safetensors(path):
    from safetensors import safe_open
    from safetensors.numpy import load_file

    with safe_open(path, "np") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    return {"keys": sorted(tensors), "sums": sums(tensors), "metadata": metadata}


def load_detectron2(path, depth, width):
    """
    Detectron2's rules: DetectionCheckpointer wants `model` and `__author__`; with `matching_heuristics` a key of the model takes the longest
    key of the file that is its suffix, behind a dot, if the shapes agree.
    """
    assert path.endswith(".pkl")
    with open(path, "rb") as file:
        data = pickle.load(file, encoding="latin1")
    assert "model" in data and "__author__" in data and data["matching_heuristics"]
    arrays = data["model"]
    assert all(isinstance(value, np.ndarray) for value in arrays.values())
    wanted = detectron2_keys(int(depth), int(width))
    matched, misfits = {}, []
    for key, shape in wanted.items():
        found = max((name for name in arrays if key == name or key.endswith("." + name)), key=len, default=None)
        if found is None or list(arrays[found].shape) != shape:
            misfits.append(key)
        else:
            matched[found] = key
    return {"wanted": len(wanted), "misfits": misfits, "unused": sorted(set(arrays) - set(matched)), "sums": sums(arrays)}


def detectron2_keys(depth, width):
    """Names and shapes of build_resnet_fpn_backbone's bottom_up, from detectron2/modeling/backbone/resnet.py."""
    blocks = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}[depth]
    keys = {}

    def conv(name, out, inputs, kernel):
        keys[f"backbone.bottom_up.{name}.weight"] = [out, inputs, kernel, kernel]
        for part in ("weight", "bias", "running_mean", "running_var"):
            keys[f"backbone.bottom_up.{name}.norm.{part}"] = [out]

    conv("stem.conv1", width, 3, 7)
    inputs = width
    for stage, count in enumerate(blocks):
        planes = width * 2**stage
        out = planes if depth < 50 else 4 * planes
        for unit in range(count):
            name = f"res{stage + 2}.{unit}"
            if unit == 0 and (stage > 0 or inputs != out):
                conv(f"{name}.shortcut", out, inputs, 1)
            if depth < 50:
                conv(f"{name}.conv1", out, inputs, 3)
                conv(f"{name}.conv2", out, out, 3)
            else:
                conv(f"{name}.conv1", planes, inputs, 1)
                conv(f"{name}.conv2", planes, planes, 3)
                conv(f"{name}.conv3", out, planes, 1)
            inputs = out
    return keys


def write_features(folder, arch, side):
    """torchvision's ResNet, 16 images, and what its stages make of them in eval mode, averaged over their maps."""
    import torch
    import torchvision

    torch.manual_seed(2)
    model = moved(getattr(torchvision.models, arch)())
    torch.save(model.state_dict(), f"{folder}/{arch}.pth")
    images = torch.randn(16, 3, int(side), int(side))
    images.permute(0, 2, 3, 1).contiguous().numpy().tofile(f"{folder}/images.bin")
    features = {}
    with torch.no_grad():
        x = model.maxpool(model.relu(model.bn1(model.conv1(images))))
        for stage in (1, 2, 3, 4):
            x = getattr(model, f"layer{stage}")(x)
            features[f"res{stage + 1}"] = x.mean((2, 3)).flatten().tolist()
    return features


def same(one, other):
    """Whether two files of torch hold the same bits under the same names, classifier apart."""
    import torch

    first, second = (torch.load(path, weights_only=True) for path in (one, other))
    first = {name: tensor for name, tensor in first.items() if not name.startswith("fc.")}
    floats = [name for name, tensor in first.items() if tensor.is_floating_point()]
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in floats)


def write_pickle(path, protocol, expression):
    """A pickle of what an expression gives."""
    import math

    class Calls:
        def __init__(self, function, *arguments):
            self.made = (function, arguments)

        def __reduce__(self):
            return self.made

    value = eval(expression, {"np": np, "OrderedDict": collections.OrderedDict, "Counter": collections.Counter, "Calls": Calls, "math": math})
    with open(path, "wb") as file:
        pickle.dump(value, file, protocol=int(protocol))


COMMANDS = [write_forms, load_torch, strict, load_safetensors, load_detectron2, write_features, same, write_pickle]

if __name__ == "__main__":
    command = {function.__name__.replace("_", "-"): function for function in COMMANDS}[sys.argv[1]]
    print(json.dumps(command(*sys.argv[2:])))
