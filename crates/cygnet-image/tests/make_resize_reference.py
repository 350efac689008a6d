"""Writes resize_reference.json: Pillow's resizes of pictures made by a formula. Needs Pillow before 13 and NumPy."""

import json
import pathlib

import numpy
from PIL import Image

CASES = [(12, 9, 5, 4), (9, 12, 4, 5), (5, 4, 12, 9), (7, 7, 7, 3), (7, 7, 3, 7), (1, 1, 4, 3), (16, 1, 5, 2),
         (1, 16, 2, 5), (28, 6, 6, 28), (33, 31, 1, 1), (10, 10, 10, 10), (40, 24, 13, 11)]


def picture(width, height):
    y, x, c = numpy.mgrid[:height, :width, :3]
    return ((x * 37 + y * 91 + c * 53 + x * y * 29) % 256).astype(numpy.uint8)


cases = [
    {
        "from": [width, height],
        "to": [new_width, new_height],
        "interpolation": name,
        "pixels": Image.fromarray(picture(width, height))
        .resize((new_width, new_height), getattr(Image.Resampling, name.upper()))
        .tobytes()
        .hex(),
    }
    for width, height, new_width, new_height in CASES
    for name in ("nearest", "bilinear", "bicubic")
]
text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
pathlib.Path(__file__).with_name("resize_reference.json").write_text(text)
