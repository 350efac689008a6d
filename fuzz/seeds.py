#!/usr/bin/env python3
"""Writes the first files of fuzz/corpus whose formats are not Cygnet's own: tensors, pictures, tables, archives.

Those that are come from `cargo run -p cygnet-fuzzing --example seeds`. Needs Pillow and pillow-jxl-plugin for the pictures
that take a real encoder, and zstandard.
"""

import base64, bz2, gzip, io, json, lzma, pathlib, struct, tarfile, zipfile, zlib

CORPUS = pathlib.Path(__file__).parent / "corpus"
FLOATS = struct.pack("<6f", 1, 2, 3, 4, 5, 6)


def keep(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"seed-{name}").write_bytes(data)


def text(value):
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def integer(value):
    return b"J" + struct.pack("<i", value)


def numbers(values):
    return b"(" + b"".join(integer(value) for value in values) + b"t"


def name(module, attribute):
    return f"c{module}\n{attribute}\n".encode()


def mapping(items):
    return b"}(" + b"".join(text(key) + value for key, value in items.items()) + b"u"


def ordered(items):
    pairs = b"".join(b"(" + text(key) + value + b"t" for key, value in items.items())
    return name("collections", "OrderedDict") + b")R(" + b"".join(text(k) + v for k, v in items.items()) + b"u"


def tensor(key, shape, strides, offset=0, count=6, kind="FloatStorage", legacy=False):
    more = b"N" if legacy else b""
    storage = b"(" + text("storage") + name("torch", kind) + text(key) + text("cpu") + integer(count) + more + b"tQ"
    fields = storage + integer(offset) + numbers(shape) + numbers(strides) + b"\x89" + name("collections", "OrderedDict") + b")R"
    return name("torch._utils", "_rebuild_tensor_v2") + b"(" + fields + b"tR"


def pickled(body):
    return b"\x80\x02" + body + b"."


def zip_of(entries, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for path, data in entries.items():
            archive.writestr(zipfile.ZipInfo(path, (2020, 1, 1, 0, 0, 0)), data, method)
    return out.getvalue()


def torch_zip(body, method=zipfile.ZIP_STORED, root="model"):
    entries = {"data.pkl": pickled(body), "byteorder": b"little", "data/0": FLOATS, "version": b"3\n"}
    return zip_of({f"{root}/{path}": data for path, data in entries.items()}, method)


def torch_legacy(body):
    head = pickled(b"\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19") + pickled(b"M\xe9\x03")
    system = mapping({"protocol_version": integer(1001), "little_endian": b"\x88"})
    keys = b"](" + text("0") + b"e"
    return head + pickled(system) + pickled(body) + pickled(keys) + struct.pack("<q", 6) + FLOATS


def checkpoints():
    two = lambda legacy=False: {
        "a.weight": tensor("0", [2, 2], [2, 1], legacy=legacy),
        "a.bias": tensor("0", [2], [1], 4, legacy=legacy),
    }
    nested = mapping({"state_dict": ordered(two()), "epoch": integer(3), "classes": b"](" + text("cat") + text("dog") + b"e"})
    space = name("argparse", "Namespace") + b")\x81" + mapping({"lr": b"G" + struct.pack(">d", 0.1)}) + b"b"
    masked = {"a.weight_orig": two()["a.weight"], "a.weight_mask": two()["a.weight"]}
    keep("pth", "plain", torch_zip(ordered(two())))
    keep("pth", "deflated", torch_zip(mapping(two()), zipfile.ZIP_DEFLATED, "archive"))
    keep("pth", "nested", torch_zip(nested))
    keep("pth", "masked", torch_zip(ordered(masked)))
    keep("pth", "namespace", torch_zip(mapping({"args": space, "model": ordered(two()), "ema": ordered(two())})))
    keep("pth", "averaged", torch_zip(mapping({"n_averaged": integer(2), "module.a.weight": two()["a.weight"]})))
    keep("pth", "legacy", torch_legacy(ordered(two(True))))
    keep("pth", "legacy-nested", torch_legacy(mapping({"state_dict": ordered(two(True))})))
    array = lambda kind, data, shape: (
        name("numpy.core.multiarray", "_reconstruct") + b"(" + name("numpy", "ndarray") + b"(" + integer(0) + b"tC\x01btR("
        + integer(1) + numbers(shape) + name("numpy", "dtype") + b"(" + text(kind) + b"\x89\x88tR("
        + integer(3) + text("<") + b"NNN" + integer(-1) + integer(-1) + integer(0) + b"tb\x89C" + bytes([len(data)]) + data + b"tb"
    )
    keep("pkl", "arrays", pickled(mapping({"a": array("f4", FLOATS, [2, 3]), "b": array("f8", FLOATS, [3])})))
    keep("pkl", "list", pickled(b"](" + array("f4", FLOATS, [6]) + array("i4", FLOATS, [3, 2]) + b"e"))
    keep("pkl", "nested", pickled(mapping({"a": mapping({"w": array("f2", FLOATS, [12])})})))


def safetensors(header, data):
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


def tensors():
    entry = lambda kind, shape, start, end: {"dtype": kind, "shape": shape, "data_offsets": [start, end]}
    keep("safetensors", "two", safetensors({"a": entry("F32", [2, 2], 0, 16), "b": entry("I8", [8], 16, 24)}, FLOATS))
    keep("safetensors", "metadata", safetensors({"__metadata__": {"format": "pt"}, "a": entry("BF16", [3, 4], 0, 24)}, FLOATS))
    keep("safetensors", "empty", safetensors({"a": entry("F64", [0, 4], 0, 0), "b": entry("F16", [12], 0, 24)}, FLOATS))
    layers = [96]
    for squeezed, expanded in [(16, 64)] * 2 + [(32, 128)] * 2 + [(48, 192)] * 2 + [(64, 256)] * 2:
        layers += [squeezed, expanded, expanded]
    layers.append(1000)
    body = b"".join(struct.pack("<256f", *([0.5] * 256)) + bytes(4 * outputs) + (b"\1\2\x21" if i == 0 else b"") for i, outputs in enumerate(layers))
    keep("deep_compression", "two-entries", struct.pack("<26I", 2, *([0] * 25)) + body)


def idx():
    image = struct.pack(">IIII", 0x803, 4, 3, 2) + bytes(range(24))
    label = struct.pack(">II", 0x801, 4) + b"\0\1\1\0"
    for kind, pack in [("plain", bytes), ("gzip", lambda data: gzip.compress(data, mtime=0))]:
        labels = pack(label)
        keep("idx", kind, struct.pack("<H", len(labels)) + labels + pack(image))


def tables():
    rows = [("path", "label", "split"), ("0.bmp", "cat", "train"), ("1.bmp", "dog", "train"), ("2.bmp", "cat", "val"), ("3.bmp", "dog", "test")]
    for kind, separator in [(0, ","), (1, "\t")]:
        lines = "\n".join(separator.join(row) for row in rows) + "\n"
        keep("table", f"split-{kind}", bytes([kind]) + lines.encode())
    keep("table", "quoted", b'\0"0.bmp","a, b"\r\n"1.bmp","c ""d"""\r\n')
    keep("table", "utf-16", b"\0" + "0.bmp,a\n1.bmp,b\n".encode("utf-16"))
    keep("table", "windows", b"\0.\\0.bmp,a\n.\\1.bmp,b\n")


BMP = b"BM" + struct.pack("<IIIIiiHHIIiiII", 58, 0, 54, 40, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + b"\x80\x80\x80\0"


def png(colour, depth, row, *more):
    chunk = lambda kind, data: struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 4, 3, depth, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress((b"\0" + row) * 3))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*each) for each in more) + body + chunk(b"IEND", b"")


def jpeg(components, frame, exif=None):
    """Grey blocks: every coefficient is 0, written with codes of one bit."""
    part = lambda marker, data: struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
    table = lambda place: part(0xC4, bytes([place, 1] + [0] * 15 + [0]))
    sampled = [(1, 0x22 if components == 3 else 0x11)] + [(i, 0x11) for i in range(2, components + 1)]
    picture = struct.pack(">BHHB", 8, 13, 11, components) + b"".join(bytes([i, s, 0]) for i, s in sampled)
    progressive = frame == 0xC2
    scan = bytes([components]) + b"".join(bytes([i, 0]) for i, _ in sampled) + bytes([0, 0 if progressive else 63, 0])
    orientation = b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1" + struct.pack(">HH", exif or 1, 0) + bytes(4)
    head = b"\xff\xd8" + (part(0xE1, orientation) if exif else b"") + part(0xDB, b"\0" + b"\1" * 64)
    return head + part(frame, picture) + table(0) + table(0x10) + part(0xDA, scan) + bytes(8) + b"\xff\xd9"


def pictures():
    palette = (b"PLTE", bytes(range(12)))
    keep("pictures", "grey.png", png(0, 8, bytes([0, 80, 160, 240])))
    keep("pictures", "rgb.png", png(2, 8, bytes(range(12))))
    keep("pictures", "palette.png", png(3, 2, b"\x1b", palette, (b"tRNS", b"\0\x80")))
    keep("pictures", "rgba16.png", png(6, 16, bytes(32), (b"eXIf", b"MM\0*\0\0\0\x08\0\0\0\0\0\0")))
    keep("pictures", "grey.jpg", jpeg(1, 0xC0))
    keep("pictures", "rotated.jpg", jpeg(3, 0xC0, 6))
    keep("pictures", "progressive.jpg", jpeg(3, 0xC2))
    keep("pictures", "cmyk.jpg", jpeg(4, 0xC0))
    keep("pictures", "bmp", BMP)
    # One pixel each, the shortest there are.
    for kind, text in {
        "gif": "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",
        "lossy.webp": "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA",
        "lossless.webp": "UklGRhoAAABXRUJQVlA4TA0AAAAvAAAAEAcQERGIiP4HAA==",
    }.items():
        keep("pictures", kind, base64.b64decode(text))


def encoded():
    """Noise of nine by seven pixels, as the usual encoders write it."""
    from PIL import Image
    import pillow_jxl

    state, levels = 1, []
    for _ in range(9 * 7 * 4):
        state = (state * 1103515245 + 12345) % 2**31
        levels.append(state >> 23)
    rgba = Image.frombytes("RGBA", (9, 7), bytes(levels))
    modes = {mode: rgba.convert(mode) for mode in ["RGB", "L", "P", "CMYK", "1"]} | {"RGBA": rgba}
    modes["I;16"] = modes["L"].convert("I").point(lambda x: x * 257).convert("I;16")
    exif = Image.Exif()
    exif[0x112] = 6

    def kept(name, mode, ending, **options):
        out = io.BytesIO()
        modes[mode].save(out, ending, **options)
        keep("pictures", name, out.getvalue())

    for sampling in ["4:4:4", "4:2:2", "4:2:0"]:
        kept(f"{sampling.replace(':', '')}.jpg", "RGB", "jpeg", quality=40, subsampling=sampling, restart_marker_blocks=1, optimize=True)
    kept("scans.jpg", "RGB", "jpeg", quality=40, progressive=True)
    kept("inks.jpg", "CMYK", "jpeg", quality=40, progressive=True)
    kept("coded.webp", "RGB", "webp", quality=40)
    kept("clear.webp", "RGBA", "webp", quality=40, exif=exif)
    kept("exact.webp", "RGBA", "webp", lossless=True)
    kept("moving.webp", "RGBA", "webp", save_all=True, append_images=[rgba.rotate(180)], quality=40)
    kept("moving.gif", "P", "gif", save_all=True, append_images=[modes["P"].rotate(180)], interlace=1, transparency=3)
    kept("wide.png", "I;16", "png")
    kept("bits.png", "1", "png")
    kept("palette.bmp", "P", "bmp")
    kept("bits.bmp", "1", "bmp")
    for packing in ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "jpeg"]:
        kept(f"{packing}.tif", "RGB", "tiff", compression=packing)
    kept("wide.tif", "I;16", "tiff", compression="tiff_lzw")
    kept("big.tif", "RGBA", "tiff", big_tiff=True)
    kept("fax.tif", "1", "tiff", compression="group4")
    kept("palette.tif", "P", "tiff", compression="packbits")
    kept("exact.jxl", "RGBA", "jxl", lossless=True)
    kept("coded.jxl", "RGB", "jxl", quality=40)
    kept("clear.jxl", "RGBA", "jxl", quality=40, exif=exif.tobytes())
    kept("quick.jxl", "L", "jxl", quality=20, effort=1)


def tar_of(entries, form):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for path, data in entries.items():
            info = tarfile.TarInfo(path)
            if isinstance(data, tuple):
                info.type, info.linkname = data
            else:
                info.size = len(data)
            archive.addfile(info, io.BytesIO(data) if isinstance(data, bytes) else None)
    # One block of zeros ends the archive; those that fill a record only cost time.
    return out.getvalue().rstrip(b"\0") + bytes(1024)


def archives():
    folders = {"set/cat/1.bmp": BMP, "set/dog/2.bmp": BMP}
    parts = {"s/train/a/1.bmp": BMP, "s/train/b/2.bmp": BMP, "s/val/a/3.bmp": BMP, "s/val/b/4.bmp": BMP, "__MACOSX/x": b""}
    long = {f"{'x' * 120}/{c}/1.bmp": BMP for c in "ab"}
    links = folders | {"set/dog/3.bmp": (tarfile.LNKTYPE, "set/cat/1.bmp"), "set/dog/4.bmp": (tarfile.SYMTYPE, "2.bmp")}
    plain = tar_of(folders, tarfile.USTAR_FORMAT)
    keep("archive", "tar", b"\0" + plain)
    keep("archive", "parts", b"\0" + tar_of(parts, tarfile.USTAR_FORMAT))
    keep("archive", "long-gnu", b"\0" + tar_of(long, tarfile.GNU_FORMAT))
    keep("archive", "long-pax", b"\0" + tar_of(long, tarfile.PAX_FORMAT))
    keep("archive", "links", b"\0" + tar_of(links, tarfile.USTAR_FORMAT))
    keep("archive", "tar-gz", b"\1" + gzip.compress(plain, mtime=0))
    keep("archive", "tar-xz", b"\2" + lzma.compress(plain))
    keep("archive", "tar-bz2", b"\0" + bz2.compress(plain))
    import zstandard

    keep("archive", "tar-zst", b"\0" + zstandard.ZstdCompressor(write_checksum=True).compress(plain))
    keep("archive", "zip-bzip2", b"\3" + zip_of(folders, zipfile.ZIP_BZIP2))
    keep("archive", "zip", b"\3" + zip_of(folders))
    keep("archive", "zip-deflated", b"\3" + zip_of(parts, zipfile.ZIP_DEFLATED))


def golden():
    rows = [["features.0.0.weight", [32, 3, 3, 3], "weight"], ["classifier.1.bias", [10], "bias"]]
    file = {"source": "torchvision", "model": "mobilenet_v2", "input_shape": [1, 3, 32, 32], "gain": 1.4, "logits": [0.5] * 10,
            "logits_std": 0.25, "max_abs_diff_f32_f64": 1e-6, "state_dict": rows, "trace": [["features.0", [1, 32, 16, 16], 0.1, 0.2, [0.0] * 4]]}
    keep("golden", "inference", json.dumps(file).encode())
    keep("golden", "gradients", json.dumps(file | {"gradients": {}, "batch": 2, "loss": 2.3}).encode())


for write in (checkpoints, tensors, pictures, encoded, idx, tables, archives, golden):
    write()
