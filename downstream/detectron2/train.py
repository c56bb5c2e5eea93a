#!/usr/bin/env python3
"""Trains and tests the detectors of the configs beside this file with Detectron2.

    python3 train.py --config-file coco-c4.yaml --schedule 12k --num-gpus 8 MODEL.WEIGHTS r50.pkl OUTPUT_DIR runs/c4

Its options are those of Detectron2's tools/train_net.py (--resume, --eval-only, overrides of the config at the end), and
--schedule. MODEL.WEIGHTS is what `detco export --format detectron2` wrote.
"""

import pickle

import torch
from detectron2.checkpoint import DetectionCheckpointer
from detectron2.config import get_cfg
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultTrainer, default_argument_parser, default_setup, launch
from detectron2.evaluation import CityscapesInstanceEvaluator, COCOEvaluator, PascalVOCDetectionEvaluator
from detectron2.layers import get_norm
from detectron2.modeling import ROI_HEADS_REGISTRY, Res5ROIHeads

# Iterations, and those at which the rate falls to a tenth. 90k is 1x.
SCHEDULES = {"12k": (12_000, (9_000, 11_000)), "90k": (90_000, (60_000, 80_000)), "180k": (180_000, (120_000, 160_000))}


@ROI_HEADS_REGISTRY.register()
class Res5ROIHeadsExtraNorm(Res5ROIHeads):
    """The head of C4 with one more batch norm behind res5, as in MoCo's and the paper's transfer."""

    @classmethod
    def _build_res5_block(cls, cfg):
        res5, channels = super()._build_res5_block(cfg)
        return torch.nn.Sequential(*res5, get_norm(cfg.MODEL.RESNETS.NORM, channels)), channels


class Trainer(DefaultTrainer):
    @classmethod
    def build_evaluator(cls, cfg, dataset):
        kind = MetadataCatalog.get(dataset).evaluator_type
        if kind == "pascal_voc":
            return PascalVOCDetectionEvaluator(dataset)
        if kind == "cityscapes_instance":
            return CityscapesInstanceEvaluator(dataset)
        return COCOEvaluator(dataset, output_dir=cfg.OUTPUT_DIR)

    def resume_or_load(self, resume=True):
        super().resume_or_load(resume)
        if not (resume and self.checkpointer.has_checkpoint()):
            check_backbone(self.model, self.cfg.MODEL.WEIGHTS)


def check_backbone(model, path):
    """Detectron2 trains on when names match nothing. This does not."""
    with open(path, "rb") as file:
        weights = {name: torch.from_numpy(value) for name, value in pickle.load(file, encoding="latin1")["model"].items()}
    weights = {name: value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
    held = {key: value.cpu() for key, value in model.state_dict().items()}
    lost = [name for name, value in weights.items() if not any(key.endswith(f".{name}") and torch.equal(held[key], value) for key in held)]
    blocks = {name.split(".")[0] for name in weights}
    if lost or not {"stem", "res2", "res3", "res4", "res5"} <= blocks:
        raise SystemExit(
            f"{path}: {len(weights) - len(lost)} of {len(weights)} weights are in the detector (missing: {', '.join(lost[:3]) or 'stages'}); "
            "expected what detco export --format detectron2 writes"
        )
    print(f"all {len(weights)} weights of {path} are in the detector")


def main(arguments):
    cfg = get_cfg()
    cfg.merge_from_file(arguments.config_file)
    if arguments.schedule:
        cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS = SCHEDULES[arguments.schedule]
    cfg.merge_from_list(arguments.opts)
    cfg.freeze()
    default_setup(cfg, arguments)
    if arguments.eval_only:
        model = Trainer.build_model(cfg)
        DetectionCheckpointer(model, save_dir=cfg.OUTPUT_DIR).resume_or_load(cfg.MODEL.WEIGHTS, resume=arguments.resume)
        return Trainer.test(cfg, model)
    trainer = Trainer(cfg)
    trainer.resume_or_load(resume=arguments.resume)
    return trainer.train()


if __name__ == "__main__":
    parser = default_argument_parser()
    parser.add_argument("--schedule", choices=SCHEDULES, help="iterations, in the place of the config's")
    arguments = parser.parse_args()
    launch(main, arguments.num_gpus, arguments.num_machines, arguments.machine_rank, arguments.dist_url, args=(arguments,))
