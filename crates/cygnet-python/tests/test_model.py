"""Tensors, embeddings, files, processes."""

import multiprocessing
import pickle

import numpy
import pytest

import cygnet


def test_the_command_gives_the_same_numbers(model, photos, command):
    files = sorted(photos.rglob("*.png"))
    for path, expected in command(*files).items():
        guesses = model.classify(path)
        assert [(guess.index, guess.label) for guess in guesses] == [(top["index"], top["label"]) for top in expected]
        assert [numpy.float32(guess.probability) for guess in guesses] == [
            numpy.float32(top["probability"]) for top in expected
        ]


def test_tensors(model):
    images = numpy.random.default_rng(3).normal(size=(5, 3, 32, 32)).astype("float32")
    outputs = model(images)
    assert outputs.shape == (5, 2) and outputs.dtype == numpy.float32
    assert (model(images, threads=2) == outputs).all()
    for image, output in zip(images, outputs):
        assert (model(image) == output).all()
    swapped = numpy.ascontiguousarray(images.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    assert not swapped.flags.c_contiguous
    assert (model(swapped) == outputs).all()
    assert (model(numpy.asfortranarray(images)) == outputs).all()
    images.flags.writeable = False
    assert (model(images) == outputs).all()
    assert model(images[:0]).shape == (0, 2)
    crooked = numpy.ndarray(images.shape, "f4", bytearray(images.nbytes + 1), 1)
    crooked[...] = images
    assert not crooked.flags.aligned
    assert (model(crooked) == outputs).all()
    with pytest.raises(MemoryError):
        model(numpy.broadcast_to(numpy.float32(1), (10**9, 3, 32, 32)))


def test_wrong_tensors_are_told(model):
    with pytest.raises(TypeError, match="float64"):
        model(numpy.zeros((3, 32, 32)))
    with pytest.raises(ValueError, match=r"\[batch, 3, 32, 32\]"):
        model(numpy.zeros((3, 31, 32), "float32"))
    with pytest.raises(ValueError):
        model(numpy.zeros((), "float32"))
    with pytest.raises(TypeError, match="list"):
        model([1.0])
    with pytest.raises(ValueError, match="threads is 0"):
        model(numpy.zeros((1, 3, 32, 32), "float32"), threads=0)


def test_embeddings_and_features(model, photos, photo):
    vector = model.embed(photo)
    assert vector.dtype == numpy.float32 and vector.ndim == 1
    both = model.embed([photo, photos / "blue" / "0.png"])
    assert both.shape == (2, len(vector)) and (both[0] == vector).all()
    maps = model.features(photo)
    sides = [array.shape[1] for array in maps.values()]
    assert all(array.ndim == 3 for array in maps.values()) and sides == sorted(sides, reverse=True)


def test_what_a_model_says_of_itself(model):
    assert model.labels == ["blue", "red"]
    assert model.input_shape == [3, 32, 32]
    assert model.precision == "fp32"
    assert model.params > 0 and model.macs > 0
    assert "2 classes" in repr(model) and model.id in repr(model)
    assert model.record["training"] and model.record["written_by"].startswith("cygnet")
    assert "likeliest" in cygnet.Model.classify.__doc__


def test_files(model, photo, tmp_path):
    path = tmp_path / "copy.safetensors"
    model.save(path)
    with pytest.raises(FileExistsError, match="overwrite=True"):
        model.save(path)
    model.save(path, overwrite=True)
    assert cygnet.load(path).classify(photo) == model.classify(photo)
    with pytest.raises(FileNotFoundError):
        cygnet.load(tmp_path / "none.safetensors")
    with pytest.raises(cygnet.CygnetError, match="mobilenet_v2"):
        cygnet.load("mobilenet_v2.nonsense")
    with pytest.raises(ValueError, match="safetensors"):
        model.save(tmp_path / "model.txt")
    path.write_bytes(b"damaged")
    with pytest.raises(cygnet.CygnetError, match="copy.safetensors"):
        cygnet.load(path)


def test_a_state_dict_becomes_a_model(model, run, photo):
    import json
    import struct

    # A model file is a safetensors file, whose parameters have PyTorch's names.
    data = open(run.file, "rb").read()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    arrays = {}
    for name, tensor in header.items():
        if name != "__metadata__":
            begin, end = (8 + length + offset for offset in tensor["data_offsets"])
            arrays[name] = numpy.frombuffer(data[begin:end], "<f4").reshape(tensor["shape"])
    arrays["features.1.bn.num_batches_tracked"] = numpy.array(3)
    made = cygnet.from_torch(arrays, "mobilenet_v1_0.25")
    assert made.params == model.params
    with pytest.raises(cygnet.CygnetError):
        cygnet.from_torch({"a": numpy.zeros(3)}, "mobilenet_v1_0.25")
    for wrong in (None, {5: numpy.zeros(3)}):
        with pytest.raises(TypeError):
            cygnet.from_torch(wrong)
    with pytest.raises(TypeError, match="a: "):
        cygnet.from_torch({"a": numpy.array(["text"])}, "mobilenet_v1_0.25")


def _classify(path, photo):
    return [(guess.label, guess.probability) for guess in cygnet.load(path).classify(photo)]


_SHARED = None


def _classify_shared(photo):
    return [(guess.label, guess.probability) for guess in _SHARED.classify(photo)]


def test_other_processes_answer_alike(model, run, photo):
    global _SHARED
    expected = [(guess.label, guess.probability) for guess in model.classify(photo)]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(_classify, (run.file, photo)) == expected
    _SHARED = model
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map(_classify_shared, [photo] * 4) == [expected] * 4


def test_models_can_be_pickled(model, photo):
    again = pickle.loads(pickle.dumps(model))
    assert again.classify(photo) == model.classify(photo) and again.labels == model.labels
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(model.__class__.classify, (model, photo)) == model.classify(photo)


def test_the_zoo_is_listed():
    networks = cygnet.list()
    assert len({network.id for network in networks}) == len(networks) > 50
    assert {network.family for network in cygnet.list("ghostnet")} == {"GhostNet"}
    assert all(network.id.startswith("mobilenet_v3") for network in cygnet.list("mobilenet_v3"))
    with pytest.raises(ValueError, match="efficientnet"):
        cygnet.list("efficientnet")


def test_real_weights(shared):
    weights = sorted((shared / "data" / "weights").glob("mobilenet_v2*.pth"))
    assert weights
    photos = sorted((shared / "data" / "images").rglob("*.jp*g"))[:8]
    assert photos
    model = cygnet.load(weights[0], network="mobilenet_v2")
    assert all(0 < guesses[0].probability <= 1 for guesses in model.classify(photos))
