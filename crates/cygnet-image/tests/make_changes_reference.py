"""Writes changes_reference.json: torchvision's changes of Pillow pictures made by a formula.

Needs torchvision 0.29, Pillow before 14 and NumPy.
"""

import json
import pathlib

import numpy
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import RandAugment, _apply_op

OPERATIONS = ["Identity", "ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast",
              "Sharpness", "Posterize", "Solarize", "AutoContrast", "Equalize"]


def picture(width, height):
    y, x, c = numpy.mgrid[:height, :width, :3]
    return Image.fromarray(((x * 37 + y * 91 + c * 53 + x * y * 29) % 256 * (3 + c) // 5 + 10).astype(numpy.uint8))


cases = []


def case(size, name, value, image):
    cases.append({"size": size, "change": name, "value": value, "pixels": image.tobytes().hex()})


for size in [(14, 11), (9, 9)]:
    image = picture(*size)
    space = RandAugment()._augmentation_space(31, (size[1], size[0]))
    assert list(space) == OPERATIONS
    for name, (magnitudes, signed) in space.items():
        for magnitude in (9, 20) if magnitudes.ndim else (9,):
            for sign in (1, -1) if signed else (1,):
                value = sign * magnitudes[magnitude].item() if magnitudes.ndim else 0.0
                changed = _apply_op(image, name, value, InterpolationMode.NEAREST, None)
                case(size, name, sign * magnitude, changed)
    for degrees in (-17.0, 3.5, 90.0):
        case(size, "rotation", degrees, F.rotate(image, degrees, InterpolationMode.BILINEAR))
    for factor in (0.6, 1.37):
        case(size, "brightness", factor, F.adjust_brightness(image, factor))
        case(size, "contrast", factor, F.adjust_contrast(image, factor))
        case(size, "saturation", factor, F.adjust_saturation(image, factor))
    for share in (-0.4, 0.1):
        # Of the tensor: Pillow's own way over bytes of hue, saturation and value loses levels.
        turned = F.adjust_hue(F.to_tensor(image), share) * 255
        case(size, "hue", share, Image.fromarray(turned.round().byte().permute(1, 2, 0).numpy()))

text = "[\n" + ",\n".join(json.dumps(case) for case in cases) + "\n]\n"
pathlib.Path(__file__).with_name("changes_reference.json").write_text(text)
