"""The file that a training which was cut goes on from."""

import json
import os
import pickle
from contextlib import contextmanager

import torch

SETTINGS = ("weights", "data", "arch", "backbone", "iterations", "batch", "lr", "size", "seed")


# A file that is cut or of another kind, other objects in it, and states of another network.
FOREIGN = (AttributeError, EOFError, LookupError, OSError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError)


class ProgressError(Exception):
    """A checkpoint that does not belong to this training; the message says why."""


class Progress:
    """Without a path nothing is kept."""

    def __init__(self, path, options, detector, optimizer, schedule):
        self.path, self.detector, self.optimizer, self.schedule = path, detector, optimizer, schedule
        self.settings = {name: getattr(options, name) for name in SETTINGS}
        self.random = []

    def read(self):
        """-> the iterations that are done, of which detector, optimizer and schedule get their states"""
        if not self.path or not os.path.exists(self.path):
            return 0
        with self.ours():
            state = torch.load(self.path, map_location="cpu", weights_only=True)
            rest = json.loads(state["rest"])
            settings = {name: rest["settings"][name] for name in SETTINGS}
        for name, value in self.settings.items():
            if settings[name] != value:
                raise ProgressError(f"--checkpoint {self.path} is of --{name} {settings[name]}, not {value}: name another file, or remove it")
        with self.ours():
            self.detector.load_state_dict(state["detector"])
            self.optimizer.load_state_dict({"state": state["momenta"], "param_groups": rest["groups"]})
            self.schedule.load_state_dict(rest["schedule"])
            self.random = [generator.byte() for generator in state["random"]]
            return int(rest["iteration"])

    @contextmanager
    def ours(self):
        """What a file that was cut, or is another's, runs into becomes a ProgressError."""
        try:
            yield
        except FOREIGN as error:
            raise ProgressError(f"--checkpoint {self.path}: expected what detect.py wrote there; name another file") from error

    def going_on(self, batches):
        """-> an iterator of them. To make one draws a random number, so that those of the checkpoint come after."""
        iterator = iter(batches)
        if self.random:
            torch.set_rng_state(self.random[0])
            torch.cuda.set_rng_state_all(self.random[1:])
        return iterator

    def write(self, iteration):
        if not self.path:
            return
        optimizer = self.optimizer.state_dict()
        # As JSON, for torch 1.13 refuses a file with Python's floats when it is to read nothing but weights.
        rest = {
            "settings": self.settings,
            "iteration": iteration,
            "groups": optimizer["param_groups"],
            "schedule": self.schedule.state_dict(),
        }
        state = {
            "detector": self.detector.state_dict(),
            "momenta": optimizer["state"],
            "random": [torch.get_rng_state(), *torch.cuda.get_rng_state_all()],
            "rest": json.dumps(rest),
        }
        save(state, self.path)


def save(state, path):
    """Whole, or not at all."""
    torch.save(state, f"{path}.part")
    os.replace(f"{path}.part", path)
