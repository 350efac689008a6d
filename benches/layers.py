#!/usr/bin/env python3
"""Holds the values of every operator of an ONNX file, as Cygnet computes them, against ONNX Runtime's.

ONNX Runtime runs the file once, without optimisation, and returns all values. For each of them the file is cut off behind the
operator that makes it, and `cygnet verify` holds what Cygnet makes of that part against a golden file of ONNX Runtime's
numbers. A line a value says how far both differ, of the value's spread, and how far ONNX Runtime's value moves when the image is
scaled by 1 + 1e-6: what grows from layer to layer as that does is rounding, what jumps is the fault of a layer. The exit is 1 if
a value differs by more than that and than `cygnet verify` allows. Needs onnx, onnxruntime and numpy.

    benches/layers.py CYGNET FILE.onnx
"""

import copy
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import onnx
import onnxruntime
from exports import numbers

# Sizes that the file leaves open: of the batch, and of the image.
BATCH = 1
SIDE = 224
FLOATS = {"float32", "float16"}


def values_of(model, source, image):
    """Every value that depends on the image by its name, and the same for an image that is scaled by 1 + 1e-6."""
    whole = copy.deepcopy(model)
    returned = {output.name for output in whole.graph.output}
    names, depends = [], {source}
    for node in model.graph.node:
        if depends.intersection(node.input):
            depends.update(node.output)
            names.extend(name for name in node.output if name)
    whole.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in returned)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(whole.SerializeToString(), options, providers=["CPUExecutionProvider"])
    scaled = image if image.dtype == numpy.uint8 else (image * (1 + 1e-6)).astype(image.dtype)
    runs = [dict(zip(names, session.run(names, {source: given}))) for given in (image, scaled)]
    return {name: (runs[0][name], runs[1][name]) for name in names}


def part(model, output, shape, kind):
    """The operators that a value is made by, as a file that returns it alone."""
    needed, nodes = {output}, []
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
            nodes.insert(0, node)
    cut = copy.deepcopy(model)
    initializers = [tensor for tensor in cut.graph.initializer if tensor.name in needed]
    known = {tensor.name for tensor in model.graph.initializer}
    inputs = [given for given in cut.graph.input if given.name not in known]
    for field, entries in (("node", nodes), ("initializer", initializers), ("input", inputs)):
        cut.graph.ClearField(field)
        getattr(cut.graph, field).extend(entries)
    cut.graph.ClearField("output")
    cut.graph.ClearField("value_info")
    cut.graph.output.append(onnx.helper.make_tensor_value_info(output, kind, shape))
    return cut


def verdict(cygnet, file, given, name, value, moved, folder):
    """What `cygnet verify` says of a value."""
    wide, apart = value.astype(numpy.float64), moved.astype(numpy.float64)
    output = {
        "name": name,
        "shape": list(value.shape),
        "dtype": value.dtype.name,
        "sum": float(wide.sum()),
        "sum_abs": float(numpy.abs(wide).sum()),
        "min": float(wide.min()),
        "max": float(wide.max()),
        "max_abs_diff_input_scaled_1e-6": float(numpy.abs(wide - apart).max()),
        "values": [float(x) for x in wide.flatten()],
    }
    golden = {
        "file": file.name,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "cases": [{"inputs": [given], "outputs": [output]}],
    }
    path = Path(folder) / "value.json"
    path.write_text(json.dumps(golden))
    run = subprocess.run([cygnet, "verify", "--json", "--quiet", path], stdout=subprocess.PIPE, check=False)
    return json.loads(run.stdout)


def main():
    cygnet, path = sys.argv[1:]
    model = onnx.load(path)
    known = {tensor.name for tensor in model.graph.initializer}
    (source,) = [given for given in model.graph.input if given.name not in known]
    tensor = source.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    sizes = [size.dim_value for size in tensor.shape.dim]
    shape = [size or (SIDE if place > 1 else BATCH) for place, size in enumerate(sizes)]
    image = numbers(shape, dtype).astype(dtype)
    given = {"name": source.name, "shape": shape, "dtype": dtype, "lo": -1, "hi": 1, "offset": 0}
    values = values_of(model, source.name, image)
    makers = {name: node.op_type for node in model.graph.node for name in node.output}
    failed = []
    print(f"{'differs':>9} {'moves':>9}  value")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "part.onnx"
        for name, (value, moved) in values.items():
            if value.dtype.name not in FLOATS or value.ndim < 2 or value.size == 0:
                continue
            kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
            onnx.save(part(model, name, value.shape, kind), file)
            told = verdict(cygnet, file, given, name, value, moved, folder)
            spread = float(value.max() - value.min()) or 1.0
            moves = float(numpy.abs(value.astype(numpy.float64) - moved).max()) / spread
            if told.get("error"):
                print(f"{'-':>9} {moves:9.1e}  {name} ({makers[name]}): {' '.join(told['error'].split())}")
                continue
            is_same = told["pass"] or told["max_rel_diff"] <= moves
            if not is_same:
                failed.append(name)
            mark = "" if is_same else "  FAIL"
            print(f"{told['max_rel_diff']:9.1e} {moves:9.1e}  {name} ({makers[name]}){mark}", flush=True)
    print(f"the first that differs too much: {failed[0]}" if failed else "all values are ONNX Runtime's")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
