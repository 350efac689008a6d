"""Lightweight vision networks on a CPU.

    import cygnet

    model = cygnet.load("mobilenet_v2")               # or a model file, or a checkpoint
    for guess in model.classify("photo.jpg"):
        print(f"{guess.probability:.1%}  {guess.label}")

    vectors = model.embed(["a.jpg", "b.jpg"])         # numpy, [2, 1280]
    logits = model(images)                            # numpy float32, [n, 3, 224, 224] to [n, 1000]

    run = cygnet.train("pets/", network="mobilenet_v2", epochs=2, out="pets.safetensors")
    small, report = run.model.quantize("pets/")       # whole numbers
    small.save("pets-int8.safetensors")

`cygnet.list()` tells which networks there are. Answers equal those of the command `cygnet` to the bit. Errors are
`cygnet.CygnetError`, in the words of the command line; a file that is not there is a FileNotFoundError, a wrong argument a
TypeError or ValueError.
"""

from __future__ import annotations

import copyreg as _copyreg
import os as _os
import sys as _sys
import tempfile as _tempfile
from dataclasses import dataclass as _dataclass
from typing import Any, Callable, Iterable, Mapping, Sequence

from ._cygnet import VERSION as __version__
from ._cygnet import Answer, Answers, CygnetError, Guess, Model, load
from ._cygnet import from_arrays as _from_arrays
from ._cygnet import from_bytes as _from_bytes
from ._cygnet import networks_of_zoo as _networks_of_zoo
from ._cygnet import train as _train

__all__ = [
    "Answer", "Answers", "CygnetError", "Guess", "Model", "Network", "Run", "from_torch", "list", "load", "train",
]


@_dataclass(frozen=True)
class Network:
    """A network of the zoo: its id, family and flavour (whose it is), parameters, multiply-accumulates an image, input
    `[channels, height, width]`, the tags of its published weights, the default first, and their top-1 accuracy in
    percent on ImageNet."""

    id: str
    family: str
    flavour: str
    params: int
    macs: int
    input: tuple[int, int, int]
    weights: tuple[str, ...]
    top1: float | None


def list(family: str | None = None) -> "Sequence[Network]":
    """Every network of the zoo, or those of a family: its name or the beginning of ids, such as `"mobilenet_v3"`."""

    def plain(text: str) -> str:
        return "".join(letter for letter in text.lower() if letter.isalnum())

    networks = [
        Network(**{**row, "input": tuple(row["input"]), "weights": tuple(row["weights"])}) for row in _networks_of_zoo()
    ]
    if family is None:
        return networks
    wanted = plain(family)
    found = [network for network in networks if plain(network.family) == wanted]
    found = found or [network for network in networks if plain(network.id).startswith(wanted)]
    if not found:
        families = ", ".join(sorted({network.family for network in networks}))
        raise ValueError(f"no network or family is called {family}; there are {families}")
    return found


@_dataclass(frozen=True)
class Run:
    """What came of training: the model with its best weights, every epoch as a dict (`loss`, `validation_top1`, …), the
    number of the best epoch, why it ended (`finished`, `early`, `time`, `interrupted`), the model file if one was
    written, and what was measured."""

    model: Model
    epochs: Sequence[Mapping[str, Any]]
    best: int
    ended: str
    file: str | None
    accuracy: Mapping[str, Any] | None


def train(
    data: Any,
    *,
    network: str | None = None,
    start: str | None = None,
    recipe: str | None = None,
    set: Iterable[str] | Mapping[str, Any] | None = None,
    epochs: int | None = None,
    batch: int | None = None,
    image: int | None = None,
    seed: int | None = None,
    minutes: float | None = None,
    threads: int | None = None,
    int8: bool = False,
    out: Any = None,
    resume: bool = False,
    overwrite: bool = False,
    callback: Callable[[Mapping[str, Any]], bool | None] | None = None,
    progress: bool = True,
) -> Run:
    """Trains on labelled photos: a folder with a folder a class, an archive of such, or a table.

    What is not said is chosen: MobileNetV2 with its published weights, the recipe that fits, all threads, nothing written.

    network     a network of the zoo, perhaps with `.tag` of its weights, or a gene
    start       "pretrained", "scratch", or a model file or checkpoint to start from
    recipe      the name of a recipe, or a TOML file
    set         changes of the recipe: {"optimizer.rate": 0.1} or ["optimizer.rate=0.1"]
    epochs      times that all pictures are seen; the recipe's if it is left out
    batch       pictures a step
    image       side of the pictures in pixels
    seed        of all that is drawn: the same seed gives the same model
    threads     at most; all if it is left out
    minutes     ends in time, with the best model so far
    int8        learns with the rounding of whole numbers; starts from a trained model file
    out         the model file; its log, report and the run's state lie beside it. `resume=True` goes on where a run stopped
    callback    is called after each epoch with a dict of what it came to; returning False ends the run
    progress    writes a line an epoch on sys.stderr

    Ctrl-C ends the run after the step, its state saved if there is a file, and raises KeyboardInterrupt. The result is the
    same for any number of threads.
    """
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is a function of an epoch, not {type(callback).__name__}")
    if resume and out is None:
        raise ValueError("resume=True goes on with the run of a model file; name it by out=")
    if isinstance(set, str):
        set = [set]
    elif isinstance(set, Mapping):
        set = [f"{name}={_toml(value)}" for name, value in set.items()]
    settings = dict(
        network=network, start=start, recipe=recipe, set=None if set is None else [*set], epochs=epochs, batch=batch,
        image=image, seed=seed, minutes=minutes, threads=threads, int8=int8, out=out, resume=resume, overwrite=overwrite,
    )

    def listen(epoch: Mapping[str, Any]) -> bool | None:
        if progress:
            validation = "" if epoch["validation_top1"] is None else f"  validation {epoch['validation_top1']:.1f} %"
            best = "  best" if epoch["best"] else ""
            print(
                f"epoch {epoch['epoch']}  loss {epoch['loss']:.3f}  accuracy {epoch['accuracy']:.1f} %{validation}{best}",
                file=_sys.stderr,
                flush=True,
            )
        return None if callback is None else callback(epoch)

    model, history = _train(data, settings, listen)
    return Run(model, history["epochs"], history["best"], history["ended"], history["file"], history["accuracy"])


def _toml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def from_torch(state_dict: Mapping[str, Any], network: str | None = None, *, classes: int | None = None) -> Model:
    """A model of a `state_dict` of PyTorch's (of a module that Cygnet knows: torchvision's, timm's or its own), without a
    file between. `network` is found by the tensors where they tell it. Arrays of numpy are taken as well."""
    import numpy

    if not isinstance(state_dict, Mapping):
        raise TypeError(f"a state_dict is a mapping from names to tensors, not {type(state_dict).__name__}")
    arrays = []
    for name, value in state_dict.items():
        if not isinstance(name, str):
            raise TypeError(f"names of tensors are text, not {name!r}")
        value = value.detach().cpu().float().numpy() if hasattr(value, "detach") else numpy.asarray(value)
        if not numpy.issubdtype(value.dtype, numpy.number):
            raise TypeError(f"{name}: a tensor of numbers is wanted, not {value.dtype}")
        # How many batches were seen is no parameter.
        if not name.endswith("num_batches_tracked"):
            arrays.append((name, numpy.require(value, numpy.float32, ["C", "A"])))
    return _from_arrays(arrays, network, classes=classes)


def _pickled(model: Model) -> tuple[Any, tuple[bytes]]:
    with _tempfile.TemporaryDirectory() as folder:
        path = _os.path.join(folder, "model.safetensors")
        model.save(path)
        with open(path, "rb") as file:
            return _from_bytes, (file.read(),)


_copyreg.pickle(Model, _pickled)
