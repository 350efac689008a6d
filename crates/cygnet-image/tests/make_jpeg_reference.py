"""Writes jpeg_reference.json: small JPEG files of formula-made pictures and Pillow's RGB pixels of them."""

import io
import json
import pathlib

import numpy
from PIL import Image


def picture(width, height):
    y, x = numpy.mgrid[:height, :width]
    waves = [128 + 100 * numpy.sin(x / 3 + y / 5), 128 + 90 * numpy.cos(x / 4 - y / 3), (x * 11 + y * 17) % 256]
    return Image.fromarray(numpy.stack(waves, 2).astype(numpy.uint8))


def encoded(image, **options):
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    return file.getvalue()


def with_adobe_transform(data, transform):
    place = data.index(b"Adobe") + 11
    return data[:place] + bytes([transform]) + data[place + 1 :]


def with_luma_sampling(data, sampling, width, height):
    """The same blocks read as another subsampling of as many interleaved units."""
    place = data.index(b"\xff\xc0")
    size = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return data[: place + 5] + size + data[place + 9 : place + 11] + bytes([sampling]) + data[place + 12 :]


small, wide = picture(19, 13), picture(37, 21)
cmyk = encoded(small.convert("CMYK"), quality=80)
files = {
    "4:4:4": encoded(small, quality=90, subsampling=0),
    "4:2:2": encoded(small, quality=85, subsampling=1),
    "4:2:0": encoded(wide, quality=75, subsampling=2),
    "4:4:0": with_luma_sampling(encoded(small, quality=85, subsampling=1), 0x12, 13, 19),
    "4:1:1": with_luma_sampling(encoded(wide, quality=75, subsampling=2), 0x41, 60, 21),
    "narrow 4:2:0": encoded(picture(3, 40), quality=75, subsampling=2),
    "progressive": encoded(wide, quality=92, subsampling=2, progressive=True),
    "progressive 4:4:4": encoded(small, quality=60, subsampling=0, progressive=True),
    "restart markers": encoded(wide, quality=80, restart_marker_blocks=2),
    "rgb": encoded(small, quality=80, keep_rgb=True),
    "grey": encoded(small.convert("L"), quality=80),
    "progressive grey": encoded(wide.convert("L"), quality=80, progressive=True),
    "cmyk": cmyk,
    "ycck": with_adobe_transform(cmyk, 2),
}
rows = []
for name, data in files.items():
    image = Image.open(io.BytesIO(data)).convert("RGB")
    rows.append({"name": name, "size": image.size, "file": data.hex(), "pixels": image.tobytes().hex()})
text = "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]\n"
pathlib.Path(__file__).with_name("jpeg_reference.json").write_text(text)
