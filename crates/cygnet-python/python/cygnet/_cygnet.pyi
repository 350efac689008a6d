from os import PathLike
from typing import Any, Callable, Iterator, Mapping, Sequence, overload

import numpy
from numpy.typing import NDArray

VERSION: str

class CygnetError(Exception): ...

class Guess:
    index: int
    label: str
    probability: float
    def __init__(self, index: int, label: str, probability: float) -> None: ...

class Answer:
    path: Any
    guesses: list[Guess]
    error: str | None

class Answers(Iterator[Answer]):
    total: int
    def __len__(self) -> int: ...
    def __next__(self) -> Answer: ...

# A path, an address, bytes, an open file, a picture of Pillow's, or uint8 pixels.
Photo = str | PathLike[str] | bytes | bytearray | memoryview | NDArray[numpy.uint8] | Any

class Model:
    id: str
    labels: list[str]
    params: int
    macs: int
    input_shape: list[int]
    precision: str
    record: Mapping[str, Any]
    @overload
    def classify(self, photos: list[Photo] | tuple[Photo, ...], top: int = 5, *, threads: int | None = None) -> list[list[Guess]]: ...
    @overload
    def classify(self, photos: Photo, top: int = 5, *, threads: int | None = None) -> list[Guess]: ...
    def classify_files(
        self, places: str | PathLike[str] | Sequence[str | PathLike[str]], top: int = 5, *, threads: int | None = None
    ) -> Answers: ...
    def embed(self, photos: Photo | list[Photo] | tuple[Photo, ...], *, threads: int | None = None) -> NDArray[numpy.float32]: ...
    def features(self, photo: Photo) -> dict[str, NDArray[numpy.float32]]: ...
    def __call__(self, inputs: NDArray[numpy.float32], *, threads: int | None = None) -> NDArray[numpy.float32]: ...
    def evaluate(self, data: str | PathLike[str], *, threads: int | None = None) -> dict[str, Any]: ...
    def bench(self, seconds: float = 1.0, *, threads: int | None = 1, batch: int = 1) -> dict[str, Any]: ...
    def quantize(
        self, data: str | PathLike[str] | None = None, *, precision: str = "int8", images: int = 100, drop: float = 0.5,
        threads: int | None = None,
    ) -> tuple[Model, dict[str, Any]]: ...
    def save(self, path: str | PathLike[str], *, overwrite: bool = False) -> None: ...

def load(
    what: str | PathLike[str], *, network: str | None = None, classes: int | None = None,
    labels: str | PathLike[str] | None = None, weights_key: str | None = None,
) -> Model: ...
def from_arrays(
    arrays: Sequence[tuple[str, NDArray[numpy.float32]]], network: str | None = None, *, classes: int | None = None
) -> Model: ...
def from_bytes(data: bytes) -> Model: ...
def networks_of_zoo() -> list[dict[str, Any]]: ...
def train(
    data: str | PathLike[str], settings: Mapping[str, Any], listener: Callable[[Mapping[str, Any]], bool | None] | None = None
) -> tuple[Model, dict[str, Any]]: ...
