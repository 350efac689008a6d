#!/usr/bin/env python3
"""What whole numbers lose: `cygnet quantize` against NNCF, on the same photos.

Of a folder of photos every other one is looked at and the rest are judged, then the other way round. Each runtime's whole
numbers are held against its own floating point: how often the first guess is the same, and the mean of the
Kullback-Leibler divergence. NNCF runs in OpenVINO with three settings. Needs nncf, openvino, numpy and pillow.

    benches/quantization.py CYGNET PHOTOS MODEL...
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import nncf
import numpy
import openvino
from PIL import Image

KINDS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC, "nearest": Image.NEAREST}
SETTINGS = {
    "NNCF": {},
    "NNCF mixed": {"preset": nncf.QuantizationPreset.MIXED},
    "NNCF mixed, accurate bias": {"preset": nncf.QuantizationPreset.MIXED, "fast_bias_correction": False},
}


def cygnet(*arguments):
    done = subprocess.run([str(argument) for argument in arguments], check=True, capture_output=True, text=True)
    return done.stdout


def probabilities(program, model, photos, classes):
    """Rows of `cygnet classify`, a number for each class."""
    rows = []
    for line in cygnet(program, "classify", "--json", "--top", classes, "--model", model, *photos).splitlines():
        row = numpy.zeros(classes)
        for guess in json.loads(line)["top"]:
            row[guess["index"]] = guess["probability"]
        rows.append(row)
    return numpy.array(rows)


def shorter_side(preprocess):
    """The side that photos get before they are cropped, if they are."""
    match preprocess["resize"]:
        case {"shorter_side": {"side": side}}:
            return side
        case {"crop_pct": {"pct": share}}:
            return int(min(preprocess["size"]) / share)
        case None:
            return None
        case other:
            sys.exit(f"photos are resized in a way that this script has no word for: {other}")


def tensor(photo, preprocess):
    """A photo as the network takes it: `[3, height, width]`."""
    image = Image.open(photo).convert("RGB")
    height, width = preprocess["size"]
    size = (width, height)
    if side := shorter_side(preprocess):
        scale = side / min(image.size)
        size = tuple(max(side, int(length * scale)) for length in image.size)
    image = image.resize(size, FILTERS[preprocess["interpolation"]])
    left, top = (round((image.width - width) / 2), round((image.height - height) / 2))
    numbers = numpy.asarray(image.crop((left, top, left + width, top + height)), numpy.float32)
    numbers = numbers * preprocess["scale"] - numpy.float32(preprocess["mean"])
    numbers = (numbers / numpy.float32(preprocess["std"])).transpose(2, 0, 1)
    return numbers[::-1].copy() if preprocess["channels"] == "bgr" else numbers


def answers(model, inputs):
    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    logits = numpy.stack([compiled(numbers[None])[0].astype(numpy.float64).ravel() for numbers in inputs])
    powers = numpy.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def divergences(real, whole):
    """For each photo: whether the first guess is the same, and the divergence."""
    floor = 1e-12
    kl = (real * (numpy.log(real.clip(floor)) - numpy.log(whole.clip(floor)))).sum(axis=1)
    return numpy.stack([real.argmax(axis=1) == whole.argmax(axis=1), kl], axis=1)


def compare(program, model, photos, folder):
    facts = json.loads(cygnet(program, "show", model, "--json"))
    classes, preprocess = facts["classes"], facts["preprocess"]
    onnx = folder / "real.onnx"
    cygnet(program, "convert", model, onnx, "--overwrite")
    found = {}
    halves = [photos[::2], photos[1::2]]
    for seen, judged in [halves, halves[::-1]]:
        calibration = folder / "seen"
        calibration.mkdir()
        for photo in seen:
            (calibration / photo.name).symlink_to(photo.resolve())
        whole = folder / "whole.safetensors"
        cygnet(program, "quantize", model, "--data", calibration, "--out", whole, "--overwrite", "--images", len(seen))
        for photo in calibration.iterdir():
            photo.unlink()
        calibration.rmdir()
        real = probabilities(program, model, judged, classes)
        found.setdefault("Cygnet", []).append(divergences(real, probabilities(program, whole, judged, classes)))
        inputs = [[tensor(photo, preprocess) for photo in some] for some in (seen, judged)]
        float_model = openvino.convert_model(onnx)
        real = answers(float_model, inputs[1])
        for name, setting in SETTINGS.items():
            data = nncf.Dataset(inputs[0], lambda numbers: numbers[None])
            quantized = nncf.quantize(openvino.convert_model(onnx), data, subset_size=len(seen), **setting)
            found.setdefault(name, []).append(divergences(real, answers(quantized, inputs[1])))
    for name, parts in found.items():
        agreement, kl = numpy.concatenate(parts).mean(axis=0)
        print(f"{Path(model).name[:40]:40} {name:26} {100 * agreement:6.1f} % {kl:8.4f}", flush=True)


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    program, photos, *models = sys.argv[1:]
    photos = sorted(photo for photo in Path(photos).iterdir() if photo.suffix.lower() in KINDS)
    print(f"{len(photos)} photos")
    print(f"{'model':40} {'method':26} {'agreement':>8} {'KL':>7}")
    for model in models:
        with tempfile.TemporaryDirectory() as folder:
            compare(program, model, photos, Path(folder))


if __name__ == "__main__":
    main()
