"""A photo in every form, and what is no photo."""

import io
import os
import signal
import threading

import numpy
import pytest
from PIL import Image

import cygnet


def test_every_form_gives_the_same_answer(model, photo):
    expected = model.classify(photo)
    data = photo.read_bytes()
    picture = Image.open(photo)
    pixels = numpy.asarray(picture)
    forms = [
        str(photo), data, bytearray(data), memoryview(data), io.BytesIO(data), picture, pixels,
        numpy.asfortranarray(pixels), pixels[::-1][::-1],
    ]
    for form in forms:
        assert model.classify(form) == expected, type(form)
    frozen = pixels.copy()
    frozen.flags.writeable = False
    assert model.classify(frozen) == expected
    with photo.open("rb") as file:
        assert model.classify(file) == expected
    assert model.classify([photo, data, picture]) == [expected] * 3


def test_modes_of_pillow_that_hold_colours_are_taken(model, photo):
    picture = Image.open(photo)
    expected = model.classify(picture)
    assert model.classify(picture.convert("RGBA")) == expected
    for mode in ["L", "LA", "P", "1", "CMYK", "YCbCr", "HSV"]:
        changed = picture.convert(mode)
        assert model.classify(changed) == model.classify(changed.convert("RGB")), mode
    grey = numpy.asarray(picture.convert("L"))
    assert model.classify(grey) == model.classify(grey[..., None]) == model.classify(picture.convert("L"))


@pytest.mark.parametrize("mode", ["I", "F", "I;16"])
def test_modes_without_colours_are_refused(model, mode):
    with pytest.raises(ValueError, match=f"mode {mode} has no 8-bit colours"):
        model.classify(Image.new(mode, (8, 8)))


def test_what_is_no_photo_is_told(model, photo, tmp_path):
    with pytest.raises(TypeError, match="uint8, not float64"):
        model.classify(numpy.zeros((8, 8, 3)))
    with pytest.raises(ValueError, match="alpha channel"):
        model.classify(numpy.zeros((8, 8, 4), "uint8"))
    with pytest.raises(ValueError, match="transpose"):
        model.classify(numpy.zeros((3, 8, 8), "uint8"))
    with pytest.raises(ValueError, match="more than 256000000"):
        model.classify(numpy.broadcast_to(numpy.uint8(1), (200_000, 200_000, 3)))
    with pytest.raises(TypeError, match="a single uint8"):
        model.classify(numpy.uint8(3))
    for shape in [(0, 8, 3), (8,), (1, 8, 8, 3)]:
        with pytest.raises(ValueError):
            model.classify(numpy.zeros(shape, "uint8"))
    with pytest.raises(TypeError, match="not int"):
        model.classify(7)
    with pytest.raises(TypeError, match="not NoneType"):
        model.classify(None)
    with pytest.raises(FileNotFoundError, match="none.png: no such file or folder"):
        model.classify(tmp_path / "none.png")
    with pytest.raises(cygnet.CygnetError):
        model.classify(b"no picture")
    for count in (-1, 2**70):
        with pytest.raises(ValueError, match="no number of things"):
            model.classify(photo, top=count)
    with pytest.raises(TypeError, match="rb"):
        model.classify(io.StringIO("text"))
    closed = photo.open("rb")
    closed.close()
    with pytest.raises(ValueError, match="closed"):
        model.classify(closed)


def test_files_of_a_folder_come_in_order(model, photos, tmp_path):
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    answers = model.classify_files([photos, tmp_path / "broken.png"], top=1)
    assert len(answers) == 129
    answers = [*answers]
    assert len(answers) == 129
    assert [answer.path for answer in answers[:-1]] == sorted(photos.rglob("*.png"), key=lambda path: str(path))
    assert answers[-1].error and not answers[-1].guesses
    for answer in answers[:-1]:
        assert answer.error is None
        assert answer.guesses == model.classify(answer.path, 1)
    # Whoever stops listening ends it.
    next(iter(model.classify_files(photos)))


def test_threads_of_python_share_a_model(model, photos):
    files = sorted(photos.rglob("*.png"))
    expected = model.classify(files, threads=1)
    assert model.classify(files, threads=3) == expected
    found = {}

    def work(part):
        for file in files[part::4]:
            found[file] = model.classify(file)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert [found[file] for file in files] == expected


def _the_rest(answers):
    try:
        return [*answers]
    except cygnet.CygnetError as error:
        return str(error)


def test_answers_belong_to_the_process_that_began_them(model, photos):
    answers = model.classify_files(photos)
    next(answers)
    read, write = os.pipe()
    if os.fork() == 0:
        os.write(write, str(_the_rest(answers)).encode())
        os._exit(0)
    assert b"another process" in os.read(read, 1000)
    os.wait()


def test_ctrl_c_is_heard(model, photos):
    files = sorted(photos.rglob("*.png"))
    for work in [
        lambda: model.bench(30),
        lambda: model.classify(files * 1000),
        lambda: model.embed(files * 1000),
        lambda: [answer for _ in range(1000) for answer in model.classify_files(photos)],
    ]:
        timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            work()
