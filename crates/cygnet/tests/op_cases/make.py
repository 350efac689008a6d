#!/usr/bin/env python3
"""Writes cases.json: small graphs in Cygnet's JSON form and what PyTorch computes for them.

Run with torch and numpy installed: `python make.py > cases.json`. Input and parameters follow the formula of
`cygnet::verify::synthetic`, with weights of gain 1, so only outputs are stored.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

sys.path.append(str(Path(__file__).parents[1]))
from synthetic import synthetic


def tensor(values):
    return torch.from_numpy(np.asarray(values, dtype=np.float64).astype(np.float32)).double()


def weight(name, shape):
    return tensor(synthetic(name, shape) * np.sqrt(3 / np.prod(shape[1:])))


def pads(padding, size, kernel, stride, dilation):
    if padding == "same":
        out = []
        for s, k, st, d in zip(size, kernel, stride, dilation):
            total = max((-(-s // st) - 1) * st + d * (k - 1) + 1 - s, 0)
            out += [(total // 2, total - total // 2)]
        return out
    p = padding["explicit"]
    return [(p["top"], p["bottom"]), (p["left"], p["right"])]


def padded(x, amounts, value=0.0):
    (top, bottom), (left, right) = amounts
    return F.pad(x, (left, right, top, bottom), value=value)


ACTIVATIONS = {
    "relu": F.relu,
    "relu6": F.relu6,
    "sigmoid": torch.sigmoid,
    "swish": F.silu,
    "hard_sigmoid": F.hardsigmoid,
    "hard_sigmoid_keras": lambda x: (0.2 * x + 0.5).clamp(0, 1),
    "hard_sigmoid_clamp": lambda x: x.clamp(0, 1),
    "hard_sigmoid_slim": lambda x: F.relu6(x + 3) * 0.16667,
    "hard_swish": F.hardswish,
}


def evaluate(node, inputs):
    op, x = node["op"], inputs[0]
    path = node.get("path", "")
    if op == "conv":
        kernel, stride, dilation = node["kernel"], node["stride"], node["dilation"]
        shape = [node["out"], x.shape[1] // node["groups"], *kernel]
        bias = tensor(0.1 * synthetic(path + ".bias", [node["out"]])) if node["bias"] else None
        x = padded(x, pads(node["padding"], x.shape[2:], kernel, stride, dilation))
        return F.conv2d(x, weight(path + ".weight", shape), bias, stride, 0, dilation, node["groups"])
    if op == "batch_norm":
        c = [x.shape[1]]
        w = tensor(1 + 0.2 * synthetic(path + ".weight", c)) if node["scale"] else None
        b, mean = (tensor(0.2 * synthetic(f"{path}.{n}", c)) for n in ("bias", "running_mean"))
        return F.batch_norm(x, mean, tensor(1 + 0.4 * synthetic(path + ".running_var", c)), w, b, eps=node["eps"])
    if op == "activation":
        return ACTIVATIONS[node["function"]](x)
    if op == "pool":
        kernel, stride = node["kernel"], node["stride"]
        amounts = pads(node["padding"], x.shape[2:], kernel, stride, [1, 1])
        symmetric = all(a == b for a, b in amounts)
        pad = [a for a, _ in amounts] if symmetric else 0
        if node["kind"] == "max":
            x = x if symmetric else padded(x, amounts, -torch.inf)
            return F.max_pool2d(x, kernel, stride, pad, ceil_mode=node["ceil"])
        if symmetric:
            return F.avg_pool2d(x, kernel, stride, pad, node["ceil"], node["count_include_pad"])
        total = F.avg_pool2d(padded(x, amounts), kernel, stride, divisor_override=1)
        ones = F.avg_pool2d(padded(torch.ones_like(x), amounts), kernel, stride, divisor_override=1)
        return total / (kernel[0] * kernel[1] if node["count_include_pad"] else ones)
    if op == "global_avg_pool":
        return x.mean((2, 3), keepdim=True)
    if op == "adaptive_avg_pool":
        return F.adaptive_avg_pool2d(x, node["size"])
    if op == "local_response_norm":
        return F.local_response_norm(x, node["size"], node["alpha"], node["beta"], node["k"])
    if op == "add":
        return x + inputs[1]
    if op == "mul":
        return x * inputs[1]
    if op == "scale":
        scale, shift = (tensor(node[n]).reshape(1, -1, 1, 1) for n in ("scale", "shift"))
        return x * scale + shift
    if op == "concat":
        return torch.cat(inputs, 1)
    if op == "slice":
        return x[:, node["start"] : node["start"] + node["len"]]
    if op == "channel_shuffle":
        return F.channel_shuffle(x, node["groups"])
    if op == "upsample_like":
        return F.interpolate(x, size=inputs[1].shape[2:], mode="nearest")
    if op == "linear":
        x = x.flatten(1)
        bias = tensor(0.1 * synthetic(path + ".bias", [node["out"]])) if node["bias"] else None
        return F.linear(x, weight(path + ".weight", [node["out"], x.shape[1]]), bias)
    if op == "dropout":
        return x
    if op == "softmax":
        return torch.softmax(x, 1)
    raise ValueError(op)


def conv(out, kernel, stride=(1, 1), dilation=(1, 1), groups=1, bias=False, padding="same"):
    if padding != "same":
        padding = {"explicit": dict(zip(("top", "left", "bottom", "right"), padding))}
    return {"op": "conv", "out": out, "kernel": list(kernel), "stride": list(stride), "dilation": list(dilation),
            "groups": groups, "bias": bias, "padding": padding, "path": "layer"}


def pool(kind, kernel, stride, padding=(0, 0, 0, 0), ceil=False, include=True):
    if padding != "same":
        padding = {"explicit": dict(zip(("top", "left", "bottom", "right"), padding))}
    return {"op": "pool", "kind": kind, "kernel": list(kernel), "stride": list(stride), "padding": padding,
            "ceil": ceil, "count_include_pad": include}


GAP = {"op": "global_avg_pool"}
CASES = {  # name: (image, nodes as operator or (operator, inputs))
    "conv_3x3": ([3, 7, 5], [conv(4, (3, 3), padding=(1, 1, 1, 1))]),
    "conv_1x1_bias": ([5, 3, 4], [conv(6, (1, 1), bias=True, padding=(0, 0, 0, 0))]),
    "conv_1x1_stride_2": ([5, 7, 6], [conv(3, (1, 1), (2, 2), padding=(0, 0, 0, 0))]),
    "conv_1x7": ([3, 9, 8], [conv(2, (1, 7), padding=(0, 3, 0, 3))]),
    "conv_7x1_stride_2x1": ([3, 9, 8], [conv(2, (7, 1), (2, 1), padding=(3, 0, 3, 0))]),
    "conv_dilated": ([2, 9, 9], [conv(3, (3, 3), dilation=(2, 2), padding=(2, 2, 2, 2))]),
    "conv_grouped": ([6, 5, 5], [conv(4, (3, 3), (2, 2), groups=2, bias=True, padding=(1, 1, 1, 1))]),
    "conv_depthwise": ([4, 6, 7], [conv(4, (3, 3), (2, 2), groups=4, padding=(1, 1, 1, 1))]),
    "conv_depthwise_5x5_same": ([3, 8, 8], [conv(3, (5, 5), (2, 2), groups=3, bias=True)]),
    "conv_depthwise_multiplier_2": ([3, 5, 5], [conv(6, (3, 3), groups=3, padding=(1, 1, 1, 1))]),
    "conv_depthwise_wider_than_image": ([2, 2, 2], [conv(2, (7, 7), groups=2, padding=(3, 3, 3, 3))]),
    "conv_same_even": ([2, 8, 8], [conv(3, (3, 3), (2, 2))]),
    "conv_same_odd": ([2, 7, 9], [conv(3, (3, 3), (2, 2))]),
    "conv_same_even_kernel": ([2, 6, 6], [conv(3, (2, 2))]),
    "conv_same_dilated": ([2, 9, 8], [conv(3, (3, 3), (1, 1), (2, 3))]),
    "conv_asymmetric_padding": ([3, 6, 6], [conv(2, (3, 3), (2, 2), padding=(0, 0, 1, 1))]),
    "batch_norm": ([4, 3, 3], [{"op": "batch_norm", "eps": 1e-3, "scale": True, "path": "layer"}]),
    "batch_norm_without_scale": ([4, 3, 3], [{"op": "batch_norm", "eps": 1e-5, "scale": False, "path": "layer"}]),
    "max_pool": ([2, 7, 6], [pool("max", (3, 3), (2, 2))]),
    "max_pool_ceil": ([2, 7, 6], [pool("max", (3, 3), (2, 2), ceil=True)]),
    "max_pool_ceil_drops_window_in_padding": ([1, 4, 5], [pool("max", (2, 2), (2, 2), (1, 1, 1, 1), ceil=True)]),
    "max_pool_padded": ([2, 7, 6], [pool("max", (3, 3), (2, 2), (1, 1, 1, 1))]),
    "max_pool_same": ([2, 8, 7], [pool("max", (3, 3), (2, 2), "same")]),
    "avg_pool_padded": ([2, 5, 5], [pool("avg", (3, 3), (1, 1), (1, 1, 1, 1))]),
    "avg_pool_exclude_pad": ([2, 5, 5], [pool("avg", (3, 3), (1, 1), (1, 1, 1, 1), include=False)]),
    "avg_pool_ceil": ([2, 6, 5], [pool("avg", (3, 3), (2, 2), (1, 1, 1, 1), ceil=True)]),
    "avg_pool_ceil_exclude_pad": ([2, 5, 7], [pool("avg", (2, 2), (2, 2), ceil=True, include=False)]),
    "avg_pool_same_exclude_pad": ([2, 6, 5], [pool("avg", (3, 3), (2, 2), "same", include=False)]),
    "global_avg_pool": ([3, 4, 5], [GAP]),
    "adaptive_avg_pool": ([2, 7, 6], [{"op": "adaptive_avg_pool", "size": [3, 4]}]),
    "adaptive_avg_pool_enlarges": ([3, 2, 5], [{"op": "adaptive_avg_pool", "size": [4, 5]}]),
    "local_response_norm": ([7, 3, 3], [{"op": "local_response_norm", "size": 5, "alpha": 0.5, "beta": 0.75, "k": 2.0}]),
    "local_response_norm_even": ([6, 2, 2], [{"op": "local_response_norm", "size": 4, "alpha": 0.1, "beta": 0.5, "k": 1.0}]),
    "add": ([4, 3, 3], [({"op": "activation", "function": "relu"}, [0]), ({"op": "add"}, [0, 1])]),
    "mul_gate": ([4, 3, 5], [(GAP, [0]), ({"op": "mul"}, [0, 1])]),
    "mul_gate_first": ([4, 3, 5], [(GAP, [0]), ({"op": "mul"}, [1, 0])]),
    "scale_all": ([3, 2, 2], [{"op": "scale", "scale": [0.25], "shift": [0.5]}]),
    "scale_each": ([3, 2, 2], [{"op": "scale", "scale": [0.25, 1.0, -2.0], "shift": [0.5, 0.0, 1.0]}]),
    "concat": ([2, 3, 3], [({"op": "slice", "start": 1, "len": 1}, [0]), ({"op": "concat"}, [1, 0, 1])]),
    "slice": ([6, 3, 3], [{"op": "slice", "start": 2, "len": 3}]),
    "channel_shuffle_2": ([6, 2, 3], [{"op": "channel_shuffle", "groups": 2}]),
    "channel_shuffle_3": ([6, 2, 3], [{"op": "channel_shuffle", "groups": 3}]),
    "upsample_like": ([2, 7, 5], [(pool("avg", (2, 2), (2, 2)), [0]), ({"op": "upsample_like"}, [1, 0])]),
    "linear_flattens": ([3, 2, 2], [{"op": "linear", "out": 5, "bias": True, "path": "layer"}]),
    "linear_without_bias": ([6, 1, 1], [{"op": "linear", "out": 4, "bias": False, "path": "layer"}]),
    "dropout": ([2, 2, 2], [{"op": "dropout", "rate": 0.5}]),
    "softmax": ([5, 2, 1], [{"op": "softmax"}]),
} | {name: ([2, 5, 4], [{"op": "scale", "scale": [5.0], "shift": [0.0]}, {"op": "activation", "function": name}])
     for name in ACTIVATIONS}


def main():
    torch.set_num_threads(1)
    rows = []
    for name, (image, nodes) in CASES.items():
        values, form = [tensor(synthetic("input", [1, *image]))], []
        for i, node in enumerate(nodes):
            node, inputs = node if isinstance(node, tuple) else (node, [i])
            form.append({**node, "inputs": inputs})
            values.append(evaluate(node, [values[j] for j in inputs]))
        graph = {"name": name, "input": image, "nodes": form, "output": len(form)}
        output = values[-1][0]
        rows.append(json.dumps({"graph": graph, "shape": list(output.shape),
                                "output": [float(f"{x:.7g}") for x in output.flatten().tolist()]}))
    print("[\n" + ",\n".join(rows) + "\n]")


main()
