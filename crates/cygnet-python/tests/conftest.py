"""A small model that was trained here, photos, and the command to compare with."""

import json
import os
import pathlib
import signal
import subprocess

import numpy
import pytest
from PIL import Image

import cygnet

# Whoever runs the tests in the background may have it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Two classes of pictures that differ in colour."""
    folder = tmp_path_factory.mktemp("photos")
    random = numpy.random.default_rng(0)
    for name, channel in (("red", 0), ("blue", 2)):
        (folder / name).mkdir()
        for number in range(64):
            pixels = random.integers(0, 80, (40, 48, 3), dtype="uint8")
            pixels[..., channel] += 120
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def run(photos, tmp_path_factory):
    """A run of a small network from scratch."""
    out = tmp_path_factory.mktemp("run") / "model.safetensors"
    settings = {"optimizer.rate": 0.05}
    return cygnet.train(
        photos, network="mobilenet_v1_0.25", start="scratch", image=32, epochs=10, batch=8, seed=1, set=settings, out=out,
        progress=False,
    )


@pytest.fixture(scope="session")
def model(run):
    return cygnet.load(run.file)


@pytest.fixture(scope="session")
def photo(photos):
    return photos / "red" / "0.png"


@pytest.fixture(scope="session")
def command(run):
    """What the command says of files, a dict by path; skipped where the command is not built."""
    binary = os.environ.get("CYGNET_BIN")
    if not binary:
        pytest.skip("CYGNET_BIN names no command to compare with")

    def classify(*paths):
        told = subprocess.run(
            [binary, "classify", "--model", run.file, "--json", "--top", "5", *map(str, paths)],
            check=True, capture_output=True, text=True,
        )
        return {line["path"]: line["top"] for line in map(json.loads, told.stdout.splitlines())}

    return classify


@pytest.fixture(scope="session")
def shared():
    """The reference data beside the repository."""
    folder = os.environ.get("CYGNET_SHARED")
    if not folder:
        pytest.skip("CYGNET_SHARED is not set")
    folder = pathlib.Path(folder)
    assert folder.is_dir()
    return folder
