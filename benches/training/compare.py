#!/usr/bin/env python3
"""Training steps in Cygnet and in PyTorch eager on the CPU: images/s and peak memory, in interleaved rounds.

    python3 benches/training/compare.py [--rounds 3] [--seconds 2] [--threads 1 2] [--networks mobilenet_v2 ...]

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
name, source, side, batch, threads, seconds = sys.argv[1:]
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
best = 0
images = torch.randn(batch, 3, side, side)
labels = torch.arange(batch) % 1000
optimizer = torch.optim.SGD(net.parameters(), lr=1e-5, momentum=0.9)
def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(images), labels).backward()
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


def run(command):
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS))
    parser.add_argument("--sizes", nargs="+", default=["64x32", "32x128"], help="SIDExBATCH")
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
    print(f"{'network':20} {'size':>7} {'threads':>7} {'cygnet/s':>9} {'torch/s':>9} {'ratio':>6} {'MB':>6} {'torch MB':>8}")
    for network in args.networks:
        cygnet_name, source = NETWORKS[network]
        for size in args.sizes:
            side, batch = size.split("x")
            for threads in args.threads:
                settings = [side, batch, str(threads), str(args.seconds)]
                rounds = [
                    (run([ours, cygnet_name, *settings]), run([python, "-c", TORCH, network, source, *settings]))
                    for _ in range(args.rounds)
                ]
                speed = [statistics.median(r[i]["images_per_s"] for r in rounds) for i in (0, 1)]
                memory = [max(r[i]["peak_mb"] for r in rounds) for i in (0, 1)]
                print(
                    f"{network:20} {size:>7} {threads:7} {speed[0]:9.1f} {speed[1]:9.1f}"
                    f" {speed[0] / speed[1]:6.2f} {memory[0]:6.0f} {memory[1]:8.0f}"
                )
                sys.stdout.flush()


if __name__ == "__main__":
    main()
