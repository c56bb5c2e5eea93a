"""Prints, by kind of file, what Progress says of files that are no checkpoint of it, and the iteration of the one that is."""

import json
import os
import sys
import tempfile
from types import SimpleNamespace

import torch

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "downstream"))
from progress import SETTINGS, Progress, ProgressError


def progress(path):
    options = SimpleNamespace(**{name: 1 for name in SETTINGS})
    network = torch.nn.Linear(2, 2)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    return Progress(path, options, network, optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda iteration: 1))


def answer(path):
    try:
        return progress(path).read()
    except ProgressError as error:
        return str(error).replace(path, "PATH")


with tempfile.TemporaryDirectory() as folder:
    at = lambda name: os.path.join(folder, name)
    progress(at("good")).write(3)
    state = torch.load(at("good"))
    rest = json.loads(state["rest"])
    files = {
        "list": [1, 2],
        "tensor": torch.zeros(3),
        "number": 7,
        "no JSON": {**state, "rest": "{"},
        "JSON of a list": {**state, "rest": "[]"},
        "no settings": {**state, "rest": "{}"},
        "fewer settings": {**state, "rest": json.dumps({**rest, "settings": {}})},
        "no iteration": {**state, "rest": json.dumps({**rest, "iteration": None})},
        "no detector": {name: value for name, value in state.items() if name != "detector"},
        "another detector": {**state, "detector": torch.nn.Linear(3, 3).state_dict()},
        "other groups": {**state, "rest": json.dumps({**rest, "groups": []})},
        "no schedule": {**state, "rest": json.dumps({**rest, "schedule": []})},
        "no generators": {**state, "random": [1]},
    }
    for name, value in files.items():
        torch.save(value, at(name))
    with open(at("good"), "rb") as file:
        whole = file.read()
    for name, content in {"cut": whole[: len(whole) // 2], "empty": b"", "text": b"no checkpoint"}.items():
        with open(at(name), "wb") as file:
            file.write(content)
    print(json.dumps({name: answer(at(name)) for name in ["good", *files, "cut", "empty", "text"]}))
