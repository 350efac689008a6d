#!/usr/bin/env python3
"""Writes torchvision.json: loss and gradients of torchvision's networks with auxiliary heads, in float64.

Run with torch and torchvision installed: `python make.py > torchvision.json`. Input and parameters follow the formula of
`cygnet::verify::synthetic`. Batch norm uses its running statistics, dropout is off, and image `i` is of class
`7 * i + 3`. The loss is the cross-entropy of the output plus those of the heads times their weights. A gradient is stored
as its norm and its product with the tensor named `direction NAME`.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision

sys.path.append(str(Path(__file__).parents[1]))
from synthetic import synthetic

# At these sizes float32 leaves nearly every unit on its side of its kinks.
NETWORKS = {  # input, gain, weights of the heads
    "googlenet": ([2, 3, 104, 104], 1.4142135623730951, [0.3, 0.3]),
    "inception_v3": ([1, 3, 303, 303], 1.4142135623730951, [0.4]),
}


def values(name, shape, norms, gain):
    v = synthetic(name, shape)
    path, kind = name.rsplit(".", 1)
    if kind == "running_mean":
        return 0.2 * v
    if kind == "running_var":
        return 1 + 0.4 * v
    if path in norms:
        return 1 + 0.2 * v if kind == "weight" else 0.2 * v
    return v * gain * np.sqrt(3 / np.prod(shape[1:])) if kind == "weight" else 0.1 * v


def tensor(v):
    return torch.from_numpy(v.astype(np.float32)).double()


def entry(name):
    shape, gain, weights = NETWORKS[name]
    model = torchvision.models.get_model(name, weights=None, init_weights=False, aux_logits=True).double()
    model.train()
    norms = set()
    for path, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            norms.add(path)
            module.eval()
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    with torch.no_grad():
        for key, t in model.state_dict().items():
            if not key.endswith("num_batches_tracked"):
                t.copy_(tensor(values(key, list(t.shape), norms, gain)))
    logits, *heads = model(tensor(synthetic("input", shape)))
    labels = torch.tensor([7 * i + 3 for i in range(shape[0])])
    loss = F.cross_entropy(logits, labels)
    for head, weight in zip(heads, weights, strict=True):
        loss = loss + weight * F.cross_entropy(head, labels)
    loss.backward()
    rows = {}
    for key, p in model.named_parameters():
        g, direction = p.grad.numpy(), synthetic("direction " + key, list(p.shape))
        rows[key] = [float(f"{x:.9g}") for x in (np.linalg.norm(g), (g * direction).sum())]
    return {"input": shape, "gain": gain, "loss": loss.item(), "gradients": rows}


def main():
    text = json.dumps({name: entry(name) for name in NETWORKS})
    print(text.replace("], ", "],\n").replace("{\"", "{\n\""))


main()
