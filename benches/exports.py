#!/usr/bin/env python3
"""Checks exports: onnx's checker with full shape inference, and ONNX Runtime's answers against Cygnet's.

Each model file is written by `cygnet convert` with several settings, checked, and run by ONNX Runtime without optimisation
on a batch of three. Its answers become a golden file, which `cygnet verify` holds against what Cygnet makes of the same
file; that what comes back computes what went out is tested in crates/cygnet/tests/onnx.rs. Networks of whole numbers are
held to their integers, so that single steps of rounding that fall otherwise are all that differs. `just exports` does this
for every family. Needs onnx, onnxruntime and numpy.

    benches/exports.py CYGNET MODEL.safetensors...
"""

import hashlib
import json
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime

BATCH = 3
KINDS = [[], ["--softmax"], ["--preprocess"], ["--fp16"], ["--opset", "13"], ["--opset", "22"], ["--batch", "3"]]
# A network of whole numbers has no half precision.
WHOLE = [[], ["--preprocess"], ["--opset", "13"], ["--opset", "22"]]


def numbers(shape, dtype):
    """The input of golden files: a formula of each number's place."""
    x = numpy.arange(numpy.prod(shape), dtype=numpy.uint32) * numpy.uint32(2654435761)
    x ^= x >> 16
    x *= numpy.uint32(2246822519)
    x ^= x >> 13
    if dtype == "uint8":
        return (x >> 24).astype(numpy.uint8).reshape(shape)
    return (2.0 * (x / 4294967296.0) - 1.0).astype(numpy.float32).reshape(shape)


def is_whole(model):
    """Whether a model file is of a network of whole numbers."""
    with Path(model).open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(size))
    return json.loads(header["__metadata__"]["cygnet"]).get("quantization") is not None


def check(cygnet, model, folder, settings):
    out = Path(folder) / "out.onnx"
    subprocess.run([cygnet, "convert", model, out, "--overwrite", "--quiet", *settings], check=True)
    onnx.checker.check_model(str(out), full_check=True)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(out), options, providers=["CPUExecutionProvider"])
    (source,) = session.get_inputs()
    shape = [BATCH if isinstance(size, str) else size for size in source.shape]
    dtype = "uint8" if source.type == "tensor(uint8)" else "float32"
    image = numbers(shape, dtype)
    answers = session.run(None, {source.name: image})
    # How far answers move when the input hardly does: a step of rounding that falls otherwise may move them as far.
    moved = answers if dtype == "uint8" else session.run(None, {source.name: image * numpy.float32(1 + 1e-6)})
    is_half = "--fp16" in settings
    outputs = [
        {
            "name": output.name,
            "shape": list(values.shape),
            "dtype": "float16" if is_half else "float32",
            "sum": float(values.astype(numpy.float64).sum()),
            "sum_abs": float(numpy.abs(values.astype(numpy.float64)).sum()),
            "min": float(values.min()),
            "max": float(values.max()),
            "max_abs_diff_input_scaled_1e-6": float(numpy.abs(values - other).max()),
            "values": [float(x) for x in values.flatten()[:1000]],
        }
        for output, values, other in zip(session.get_outputs(), answers, moved)
    ]
    given = {"name": source.name, "shape": shape, "dtype": dtype, "lo": -1, "hi": 1, "offset": 0}
    golden = {
        "file": out.name,
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "cases": [{"inputs": [given], "outputs": outputs}],
    }
    path = Path(folder) / "out.json"
    path.write_text(json.dumps(golden))
    verdict = subprocess.run([cygnet, "verify", "--json", "--quiet", path], stdout=subprocess.PIPE, check=False)
    verdict = json.loads(verdict.stdout)
    # What a millionth of the image moves, of the spread: below it answers differ by rounding alone.
    moves = max(o["max_abs_diff_input_scaled_1e-6"] / ((o["max"] - o["min"]) or 1.0) for o in outputs)
    told = f"{verdict['max_rel_diff']} moves {moves:.1e} {verdict.get('error', '')}"
    print("ok  " if verdict["pass"] else "FAIL", model, *settings, told)
    return verdict["pass"]


def main():
    cygnet, *models = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        results = [
            check(cygnet, model, folder, settings)
            for model in models
            for settings in (WHOLE if is_whole(model) else KINDS)
        ]
    sys.exit(not all(results))


if __name__ == "__main__":
    main()
