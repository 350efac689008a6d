#!/usr/bin/env python3
"""Images/s of `cygnet classify DIR` and of the same job in Python with Pillow and ONNX Runtime.

    benches/folder/compare.py --photos DIR --onnx mobilenet_v2.onnx --cygnet target/release/cygnet

The Python job is one loop over the photos: decode, resize the shorter side to 256 (bilinear), crop 224, normalise,
infer on all cores, print the five best. Both count from the loaded model to the last answer. The two run in turn for
some rounds, the first of them changing. Photos are linked again and again until there are --count.

Needs Python 3.9 and pip's access to Pillow, NumPy and ONNX Runtime, which go into an environment of their own in the
user's cache folder (--venv for another place). The ONNX file takes one image [1, 3, 224, 224].
"""
import argparse
import itertools
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

PACKAGES = ["pillow", "numpy", "onnxruntime"]
SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif"}


def main():
    options = arguments()
    if options.job:
        return job(options.photos, options.onnx)
    python = environment(options.venv)
    with tempfile.TemporaryDirectory() as folder:
        link(options.photos, Path(folder), options.count)
        jobs = {
            "python": [python, __file__, "--job", "--photos", folder, "--onnx", options.onnx],
            "cygnet": [*shlex.split(options.cygnet), "classify", "--model", options.model, "--json", folder],
        }
        report(rounds(jobs, options.rounds, options.count))


def arguments():
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True, metavar="DIR")
    parser.add_argument("--onnx", type=Path, required=True, metavar="FILE")
    parser.add_argument("--cygnet", default="cygnet", metavar="COMMAND")
    parser.add_argument("--model", default="mobilenet_v2", metavar="ID|FILE", help="for cygnet (%(default)s)")
    parser.add_argument("--count", type=int, default=1000, metavar="N", help="photos a round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="(%(default)s)")
    parser.add_argument("--venv", type=Path, default=cache / "cygnet" / "folder-bench", metavar="DIR")
    parser.add_argument("--job", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if min(options.count, options.rounds) < 1:
        parser.error("--count and --rounds are at least 1")
    return options


def environment(folder):
    """The Python of an environment with the packages, made on first use."""
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    check = [python, "-c", "import PIL, numpy, onnxruntime"]
    if not python.exists() or subprocess.run(check, stderr=subprocess.DEVNULL).returncode:
        print(f"installing {', '.join(PACKAGES)} in {folder}", file=sys.stderr)
        venv.create(folder, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PACKAGES], check=True)
    return python


def link(photos, folder, count):
    found = sorted(path.resolve() for path in photos.rglob("*") if path.suffix.lower() in SUFFIXES)
    if not found:
        sys.exit(f"{photos}: no photos")
    for number, photo in zip(range(count), itertools.cycle(found)):
        (folder / f"{number:06}{photo.suffix}").symlink_to(photo)


def rounds(jobs, count, images):
    """Images/s of each job in each round."""
    rates = {name: [] for name in jobs}
    for number in range(count):
        for name in sorted(jobs, reverse=number % 2 == 1):
            done = subprocess.run(jobs[name], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            rate = re.search(r"([\d.]+) images/s", done.stderr)
            if done.returncode or not rate or len(done.stdout.splitlines()) != images:
                sys.exit(f"{name} failed:\n{done.stderr[-2000:]}")
            rates[name].append(float(rate[1]))
        now = ", ".join(f"{name} {rate[-1]:.1f}" for name, rate in rates.items())
        print(f"round {number + 1}: {now} images/s", file=sys.stderr)
    return rates


def report(rates):
    for name, values in rates.items():
        print(f"{name}  {statistics.median(values):7.1f} images/s  ({min(values):.1f} to {max(values):.1f})")
    pairs = [ours / theirs for ours, theirs in zip(rates["cygnet"], rates["python"])]
    print(f"ratio   {statistics.median(pairs):7.2f}  ({min(pairs):.2f} to {max(pairs):.2f})")


def job(photos, onnx):
    """The Python side, in its own process."""
    import numpy as np
    import onnxruntime
    from PIL import Image

    mean = np.array([0.485, 0.456, 0.406], np.float32)
    std = np.array([0.229, 0.224, 0.225], np.float32)
    factor, offset = 1 / (255 * std), mean / std
    session = onnxruntime.InferenceSession(str(onnx), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name

    def prepare(path):
        with Image.open(path) as file:
            image = file.convert("RGB")
        width, height = image.size
        size = (256, 256 * height // width) if width <= height else (256 * width // height, 256)
        left, top = round((size[0] - 224) / 2), round((size[1] - 224) / 2)
        image = image.resize(size, Image.Resampling.BILINEAR).crop((left, top, left + 224, top + 224))
        pixels = np.asarray(image, np.float32) * factor - offset
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])

    paths = sorted(photos.iterdir())
    session.run(None, {name: prepare(paths[0])})
    start = time.perf_counter()
    for path in paths:
        logits = session.run(None, {name: prepare(path)})[0][0]
        scores = np.exp(logits - logits.max())
        scores /= scores.sum()
        best = [(int(index), float(scores[index])) for index in np.argsort(-scores)[:5]]
        print(json.dumps({"path": str(path), "top": best}))
    print(f"{len(paths) / (time.perf_counter() - start):.1f} images/s", file=sys.stderr)


if __name__ == "__main__":
    main()
