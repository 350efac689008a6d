#!/usr/bin/env python3
"""Writes a golden file: what a reference network computes with weights made by a formula from their names.

    make.py torchvision squeezenet1_1 > torchvision__squeezenet1_1.json
    make.py timm mobilenetv2_100 > timm__mobilenetv2_100.json
    make.py mine my_net --from my_module:my_net --input 1 3 224 224 > mine__my_net.json

SOURCE and MODEL are the name under which `cygnet list` knows the network. `--from` is a function without arguments that
returns a torch.nn.Module; only its structure matters, its weights are replaced. Needs torch, and the source's package.

Every tensor is a function of its name, its shape and its role (`role`): element i is made of the FNV-1a hash of the name plus
i + 1 steps of SplitMix64, as `synthetic` of the Rust crate does.
"""

import argparse
import copy
import importlib
import json
import sys

import numpy as np
import torch
from torch import nn

NORMS = (nn.modules.batchnorm._BatchNorm,)


def uniform(name, count):
    """`count` numbers in [-1, 1) from a name, exact in float64."""
    h = 0xCBF29CE484222325
    for byte in name.encode():
        h = ((h ^ byte) * 0x100000001B3) & (2**64 - 1)
    with np.errstate(over="ignore"):
        z = np.uint64(h) + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    return 2.0 * ((z >> np.uint64(40)).astype(np.float64) / 2.0**24) - 1.0


def values(name, shape, role, gain):
    """A tensor by its role."""
    v = uniform(name, int(np.prod(shape, dtype=np.int64)))
    made = {
        "bias": lambda: 0.1 * v,
        "bn_weight": lambda: 1 + 0.2 * v,
        "bn_bias": lambda: 0.2 * v,
        "bn_mean": lambda: 0.2 * v,
        "bn_var": lambda: 1 + 0.4 * v,
        "input": lambda: v,
    }
    if role == "weight":
        v = (v * gain) * np.sqrt(3.0 / np.prod(shape[1:], dtype=np.int64))
    else:
        v = made[role]()
    return torch.from_numpy(v.astype(np.float32).reshape(shape))


def roles(model):
    """The role of each name in the state dict."""
    found = {}
    for path, module in model.named_modules():
        norm = isinstance(module, NORMS)
        names = {"weight": "bn_weight", "bias": "bn_bias", "running_mean": "bn_mean", "running_var": "bn_var"}
        for name in module.state_dict():
            if "." in name or name == "num_batches_tracked":
                continue
            found[f"{path}.{name}".lstrip(".")] = names[name] if norm else name
    return found


def build(source, model, function):
    if function:
        module, name = function.split(":")
        sys.path.insert(0, ".")
        return getattr(importlib.import_module(module), name)()
    if source == "torchvision":
        import torchvision

        extra = {"aux_logits": False, "init_weights": False} if model in ("googlenet", "inception_v3") else {}
        return torchvision.models.get_model(model, weights=None, **extra)
    if source == "timm":
        import timm

        return timm.create_model(model, pretrained=False)
    if source == "pytorchcv":
        from pytorchcv.model_provider import get_model

        return get_model(model, pretrained=False)
    sys.exit(f"{source} is no source that this script knows; give --from MODULE:FUNCTION")


@torch.no_grad()
def run(net, image, gain):
    """Logits, trace and rows of the state dict."""
    by_name, rows = roles(net), []
    state = net.state_dict()
    for name, tensor in state.items():
        if name in by_name:
            rows.append([name, list(tensor.shape), by_name[name]])
            tensor.copy_(values(name, list(tensor.shape), by_name[name], gain))
    trace, seen = [], set()

    def keep(path):
        def hook(_, __, out):
            seen.add(path)
            out = out.double()
            trace.append([path, list(out.shape), out.mean().item(), out.abs().mean().item(), out.flatten()[:4].tolist()])

        return hook

    layers = [(path, m) for path, m in net.named_modules() if isinstance(m, (nn.Conv2d, nn.Linear))]
    hooks = [module.register_forward_hook(keep(path)) for path, module in layers]
    logits = net(image)
    for hook in hooks:
        hook.remove()
    exact = copy.deepcopy(net).double()(image.double())
    unused = [path for path, _ in layers if path not in seen]
    return logits.flatten(), (logits.double() - exact).abs().max().item(), trace, rows, unused


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("model")
    parser.add_argument("--from", dest="function", metavar="MODULE:FUNCTION")
    parser.add_argument("--input", type=int, nargs=4, default=[1, 3, 224, 224], metavar=("N", "C", "H", "W"))
    parser.add_argument("--gain", type=float, help="of weights; without it the first that keeps the logits alive")
    args = parser.parse_args()
    torch.set_num_threads(1)
    net = build(args.source, args.model, args.function).eval()
    image = values("input", args.input, "input", 1.0)
    gains = [args.gain] if args.gain else [2**0.5, 1.3, 1.2, 1.1, 1.0, 0.9, 0.8, 0.7]
    for gain in gains:
        logits, error, trace, rows, unused = run(net, image, gain)
        if 0.1 < logits.std().item() < 20:
            break
    else:
        print("warning: the logits are nearly constant or huge; try other values of --gain", file=sys.stderr)
    golden = {
        "format": 1,
        "source": args.source,
        "source_version": "made by make.py",
        "model": args.model,
        "input_shape": args.input,
        "gain": gain,
        "logits_std": logits.double().std().item(),
        "max_abs_diff_f32_f64": error,
        "unused_modules": unused,
        "state_dict": rows,
        "logits": [float(f"{x:.9g}") for x in logits.tolist()],
        "trace": trace,
    }
    print("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in golden.items()) + "\n}")


if __name__ == "__main__":
    main()
