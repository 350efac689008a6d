#!/usr/bin/env python3
"""Training steps in Cygnet and in PyTorch on the CPU, eager, with channels last and compiled: images/s and peak memory,
in interleaved rounds. The ratio is that to PyTorch's fastest.

    python3 benches/training/compare.py [--rounds 3] [--seconds 2] [--threads 1 2] [--networks mobilenet_v2 ...]
        [--sizes 64x32 224x16 32x128] [--modes eager channels_last compile]

Makes its own environment (benches/training/.venv) with torch, torchvision and timm, and builds the example step_time.
Both sides run forward, backward and an SGD step with momentum on the same random batch again and again.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

NETWORKS = {
    "mobilenet_v2": ("torchvision/mobilenet_v2", "torchvision"),
    "mobilenet_v3_small": ("torchvision/mobilenet_v3_small", "torchvision"),
    "shufflenet_v2_x1_0": ("torchvision/shufflenet_v2_x1_0", "torchvision"),
    "ghostnet_100": ("timm/ghostnet_100", "timm"),
    "squeezenet1_1": ("torchvision/squeezenet1_1", "torchvision"),
}

TORCH = """
import json, resource, sys, time
mode, name, source, side, batch, threads, seconds = sys.argv[1:]
side, batch, threads, seconds = int(side), int(batch), int(threads), float(seconds)
import torch
torch.set_num_threads(threads)
if source == "timm":
    import timm
    net = timm.create_model(name)
else:
    import torchvision
    net = getattr(torchvision.models, name)()
net.train()
images = torch.randn(batch, 3, side, side)
if mode != "eager":
    net, images = net.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
model = torch.compile(net) if mode == "compile" else net
labels = torch.arange(batch) % 1000
optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9)
def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(model(images), labels).backward()
    optimizer.step()
for _ in range(3):
    step()
times, start = [], time.perf_counter()
while time.perf_counter() - start < seconds:
    t = time.perf_counter()
    step()
    times.append(time.perf_counter() - t)
times.sort()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"images_per_s": batch / times[len(times) // 2], "peak_mb": peak}))
"""


# How PyTorch runs a network; compiled ones lie with channels last, which is where its compiler is fastest.
MODES = ["eager", "channels_last", "compile"]


def run(command):
    """What a measurement prints, or nothing if this PyTorch cannot do it: compiling needs a C++ compiler."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return json.loads(done.stdout)
    if "compile" not in command:
        sys.exit(done.stderr)
    print(f"compile: {done.stderr.strip().splitlines()[-1]}", file=sys.stderr)
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", default=["64x32", "224x16", "32x128"], help="SIDExBATCH")
    parser.add_argument("--modes", nargs="+", default=MODES, choices=MODES)
    parser.add_argument("--python", help="a Python with torch, torchvision and timm, instead of an own environment")
    args = parser.parse_args()
    python = args.python
    if not python:
        home = HERE / ".venv"
        python = str(home / "bin" / "python")
        if not Path(python).exists():
            venv.create(home, with_pip=True)
            subprocess.run([python, "-m", "pip", "install", "-q", "torch", "torchvision", "timm"], check=True)
    build = ["cargo", "build", "-q", "--release", "-p", "cygnet-engine", "--example", "step_time"]
    # Optimised together, an example's crates would all be built as its own package is: for size.
    subprocess.run(build, check=True, cwd=ROOT, env=os.environ | {"CARGO_PROFILE_RELEASE_LTO": "off"})
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    ours = str(target / "release" / "examples" / "step_time")
    heads = "".join(f"{mode + '/s':>16}" for mode in args.modes)
    print(f"{'network':20} {'size':>7} {'threads':>7} {'cygnet/s':>9}{heads} {'ratio':>6} {'MB':>6} {'torch MB':>8}")
    for network in args.networks:
        cygnet_name, source = NETWORKS[network]
        for size in args.sizes:
            side, batch = size.split("x")
            for threads in args.threads:
                settings = [side, batch, str(threads), str(args.seconds)]
                commands = [[ours, cygnet_name, *settings]]
                commands += [[python, "-c", TORCH, mode, network, source, *settings] for mode in args.modes]
                rounds = [[run(command) for command in commands] for _ in range(args.rounds)]
                kinds = [[of for of in measured if of] for measured in zip(*rounds)]
                speeds = [statistics.median(of["images_per_s"] for of in kind) if kind else 0.0 for kind in kinds]
                fastest = max(range(1, len(speeds)), key=lambda i: speeds[i])
                memory = [max(of["peak_mb"] for of in kinds[i]) for i in (0, fastest)]
                print(
                    f"{network:20} {size:>7} {threads:7} {speeds[0]:9.1f}"
                    + "".join(f"{speed:16.1f}" if speed else f"{'-':>16}" for speed in speeds[1:])
                    + f" {speeds[0] / speeds[fastest]:6.2f} {memory[0]:6.0f} {memory[1]:8.0f}"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
