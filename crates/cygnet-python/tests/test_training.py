"""Training, quantising, measuring."""

import signal
import threading

import pytest

import cygnet


def test_a_run_learns_and_is_told(run, model, photos):
    assert run.ended == "finished" and len(run.epochs) == 10
    assert run.epochs[-1]["loss"] < run.epochs[0]["loss"]
    assert model.evaluate(photos)["top1"] > 90


def test_the_callback_hears_ends_and_raises(photos):
    heard = []
    settings = dict(network="mobilenet_v1_0.25", start="scratch", image=32, epochs=4, batch=8, progress=False)

    def two(epoch):
        heard.append(epoch["epoch"])
        return len(heard) < 2

    run = cygnet.train(photos, callback=two, **settings)
    assert heard == [1, 2] and run.ended == "interrupted"

    def fails(epoch):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cygnet.train(photos, callback=fails, **settings)


def test_ctrl_c_ends_a_run_that_goes_on_later(photos, tmp_path):
    out = tmp_path / "model.safetensors"
    settings = dict(network="mobilenet_v1_0.25", start="scratch", image=32, batch=8, seed=4, progress=False)
    pressed = threading.Event()

    def press(epoch):
        if not pressed.is_set():
            pressed.set()
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        cygnet.train(photos, epochs=3, out=out, callback=press, **settings)
    resumed = cygnet.train(photos, epochs=3, out=out, resume=True, **settings)
    whole = cygnet.train(photos, epochs=3, **settings)
    strip = lambda epochs: [(epoch["loss"], epoch["validation_loss"]) for epoch in epochs]
    assert strip(resumed.epochs) == strip(whole.epochs)


def test_wrong_settings_are_told(photos, tmp_path):
    with pytest.raises(FileNotFoundError):
        cygnet.train(tmp_path / "none")
    with pytest.raises(cygnet.CygnetError, match="mobilenet"):
        cygnet.train(photos, network="mobilenet")
    with pytest.raises(TypeError, match="epochs"):
        cygnet.train(photos, epochs="many")
    for minutes in (-1, 0, float("nan"), float("inf"), 1e300):
        with pytest.raises(ValueError, match="minutes"):
            cygnet.train(photos, minutes=minutes)
    with pytest.raises(TypeError, match="callback"):
        cygnet.train(photos, callback=5)
    with pytest.raises(ValueError, match="out="):
        cygnet.train(photos, resume=True)
    with pytest.raises(TypeError, match="speed"):
        cygnet.train(photos, speed=3)


def test_whole_numbers(model, photos, photo):
    small, report = model.quantize(photos, drop=100)
    assert small.precision == "int8" and report["layers"]["int8"] > 0
    assert small.classify(photo)[0].label == model.classify(photo)[0].label
    with pytest.raises(ValueError, match="drop"):
        model.quantize(photos, drop=float("nan"))
    with pytest.raises(ValueError, match="int4"):
        model.quantize(photos, precision="int4")


def test_times(model):
    timing = model.bench(0.05)
    assert timing["threads"] == 1 and timing["min_ms"] <= timing["median_ms"]
    for wrong in (-1.0, float("nan")):
        with pytest.raises(ValueError):
            model.bench(wrong)
