#!/usr/bin/env python3
"""Writes golden.json: training steps of torchvision's GoogLeNet with its auxiliary heads, as a golden file of gradients.

Run with torch and torchvision installed and the goldens' script: `python make_golden.py goldens/generate.py`. Of each table
only the rows of the heads and of a few other layers are kept.
"""

import importlib.util
import json
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import torch.nn.functional as F
import torchvision

MODEL, SIDE, WEIGHT = "googlenet", 96, 0.3

spec = importlib.util.spec_from_file_location("generate", sys.argv[1])
generate = importlib.util.module_from_spec(spec)
sys.modules["generate"] = generate
spec.loader.exec_module(generate)
heads = []


def build(*_):
    model = torchvision.models.get_model(MODEL, weights=None, init_weights=False, aux_logits=True)
    version = torchvision.__version__.split("+")[0]
    return generate.Spec(model.eval(), (1, 3, 224, 224), f"torchvision {version}")


def logits_of(model, x):
    """In eval mode there are no heads."""
    out = model(x)
    logits, *heads[:] = out if isinstance(out, tuple) else (out,)
    return logits


def loss(logits, labels):
    return F.cross_entropy(logits, labels) + sum(WEIGHT * F.cross_entropy(head, labels) for head in heads)


generate.NOISE_SEEDS = (1, 2)
generate.build, generate.logits_of, generate.F = build, logits_of, SimpleNamespace(cross_entropy=loss)
with tempfile.TemporaryDirectory() as folder:
    out = Path(folder)
    generate.run_gradients("torchvision", MODEL, SIDE, SimpleNamespace(out=out, gain=None, official_src=None))
    golden = json.loads(next(out.glob("gradients/*.json")).read_text())

golden["note"] = f"auxiliary heads with {WEIGHT} of the loss each"
golden["logits"] = golden["logits"][:1]
del golden["step1_logits"]
kept = ("aux", "conv1", "inception3a.branch2", "inception4c.branch3", "inception5b.branch1", "fc")
for name, table in golden.items():
    if name.endswith(("gradients", "params", "buffers")) and isinstance(table, list):
        golden[name] = [row for row in table if row[0].startswith(kept)]
fields = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in golden.items())
text = "{\n" + ",\n".join(fields).replace("], [\"", "],\n[\"") + "\n}\n"
Path(__file__).with_name("golden.json").write_text(text)
