"""Two Faster R-CNNs of torchvision's parts, whose ResNet begins with weights of somebody's pre-training."""

import collections
import os

import torch
import torchvision
from torch import nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor
from torchvision.ops import MultiScaleRoIAlign

BACKBONES = ("resnet50", "resnet18", "resnet34", "resnet101")
WIDTH = 64  # of the stem of torchvision's ResNets


class WeightsError(Exception):
    """Weights that are not the backbone's; the message says which keys they have, and what to do."""


def new_backbone(name, width=WIDTH):
    """A ResNet of torchvision with `width` channels in its stem. Its builders only make 64, and detco's preset tiny has 16."""
    resnet = torchvision.models.__dict__[name]()
    if width == WIDTH:
        return resnet

    def scaled(channels):
        return channels * width // WIDTH

    for module in resnet.modules():
        if isinstance(module, nn.Conv2d):
            inputs = 3 if module is resnet.conv1 else scaled(module.in_channels)
            module.__init__(inputs, scaled(module.out_channels), module.kernel_size, module.stride, module.padding, bias=False)
        elif isinstance(module, nn.BatchNorm2d):
            module.__init__(scaled(module.num_features))
    resnet.fc = nn.Linear(scaled(resnet.fc.in_features), resnet.fc.out_features)
    return resnet


def load_backbone(name, path):
    """-> torchvision's ResNet with the weights of a .pth, every key of which has been accounted for, and their number

    A key that does not match is an error and never a warning: a backbone that was loaded in part trains as if nothing
    were wrong, to an AP that is a few points too low."""
    export = f"npx detco export --checkpoint {path} --format torchvision --out backbone.pth"
    if os.path.isdir(path):
        raise WeightsError(f"{path}: is a folder: expected a .pth; of a run, {export} writes it")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever a pickle or a zip can be wrong in
        if path.endswith(".pkl") and os.path.isfile(path):
            raise WeightsError(f"{path}: this is Detectron2's format: expected a .pth; {export} writes it") from error
        raise WeightsError(f"{path}: torch.load cannot read it: {error}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(wrapper), dict):
            state = state[wrapper]
    if not isinstance(state, dict):
        raise WeightsError(f"{path}: holds a {type(state).__name__}: expected a state dict, as detco export --format torchvision writes it")
    stem = state.get("conv1.weight")
    resnet = new_backbone(name, WIDTH if stem is None else len(stem))
    expected = {key: value for key, value in resnet.state_dict().items() if not key.startswith("fc.")}
    matching = [key for key in expected if getattr(state.get(key), "shape", None) == expected[key].shape]
    surplus = [key for key in state if key not in expected and not key.startswith("fc.")]
    if len(matching) < len(expected) or surplus:
        raise WeightsError(explanation(path, name, expected, matching, surplus, state))
    resnet.load_state_dict({key: state[key] for key in expected}, strict=False)
    return resnet, len(matching)


def explanation(path, name, expected, matching, surplus, state):
    lines = [f"{path}: {len(matching)} of the {len(expected)} keys of {name} match: expected all of them, and no others than fc.*"]
    first = "layer1.0.conv1.weight"
    prefixes = sorted({key[: -len(first)] for key in state if key.endswith(first)} - {""})
    if prefixes:
        lines.append(f"its keys have a prefix that has to be stripped: {' or '.join(map(repr, prefixes))}")
    else:
        shapes = [f"{key} {list(getattr(state[key], 'shape', ()))} for {list(expected[key].shape)}" for key in expected if key in state and key not in matching]
        for what, keys in (("missing", [key for key in expected if key not in state]), ("of another shape", shapes), ("not expected", surplus)):
            if keys:
                lines.append(f"{what}: {', '.join(keys[:3])}{f' and {len(keys) - 3} more' if len(keys) > 3 else ''}")
    lines.append(f"npx detco export --checkpoint {path} --format torchvision --out backbone.pth reads most forms and writes this one;")
    lines.append(f"--backbone names another ResNet ({', '.join(BACKBONES)})")
    return "\n  ".join(lines)


def fpn(resnet, classes, **sizes):
    """A pyramid of res2..res5. As in the paper, its convolutions have batch norms and its heads have none."""
    stages = {f"layer{n}": str(n - 1) for n in (1, 2, 3, 4)}
    channels = [resnet.fc.in_features // 2**n for n in (3, 2, 1, 0)]
    return FasterRCNN(BackboneWithFPN(resnet, stages, channels, 256, norm_layer=nn.BatchNorm2d), classes + 1, **sizes)


def c4(resnet, classes, **sizes):
    """Proposals of res4; each is cut out of it as 14x14, and res5 is its head, behind which stands one more batch norm.

    The batch norm is MoCo's: it brings whatever scale pre-training left into the range that a fresh classifier expects."""
    body = nn.Sequential(collections.OrderedDict((n, m) for n, m in resnet.named_children() if n not in ("layer4", "avgpool", "fc")))
    features = resnet.fc.in_features
    body.out_channels = features // 2
    head = nn.Sequential(
        collections.OrderedDict(res5=resnet.layer4, norm=nn.BatchNorm2d(features), pool=nn.AdaptiveAvgPool2d(1), flatten=nn.Flatten())
    )
    return FasterRCNN(
        body,
        rpn_anchor_generator=AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),)),
        rpn_pre_nms_top_n_train=12000,
        rpn_pre_nms_top_n_test=6000,
        box_roi_pool=MultiScaleRoIAlign(["0"], output_size=14, sampling_ratio=0),
        box_head=head,
        box_predictor=FastRCNNPredictor(features, classes + 1),
        **sizes,
    )


DETECTORS = {"fpn": fpn, "c4": c4}
