#!/usr/bin/env python3
"""Whether `cygnet train` learns as PyTorch does: test accuracy of both after the same recipe, over several seeds.

    python3 benches/training/accuracy.py [ARCHIVE] [--networks mobilenet_v2 ...] [--set epochs=5 ...] [--jobs 2]

ARCHIVE holds small pictures of one size in train/CLASS/ and test/CLASS/; CIFAR-10 of $CYGNET_SHARED unless given.
Makes its own environment (benches/training/.venv) with torch, torchvision, safetensors and Pillow, and builds cygnet.

The recipe is what `cygnet train --print-recipe` prints. The network is torchvision's, with the strides that Cygnet
adapts and with weights drawn by Cygnet's rules, or with --init torchvision by torchvision's. Each model that Cygnet
trained is then loaded in torchvision's network, without any change of names; there it must be as accurate, and its
logits for a test picture of each class must be Cygnet's (as PNG: decoders of JPEG differ in rounding). Curves go to
curves.tsv in --work, where finished runs are found again.
"""

import argparse
import concurrent.futures
import json
import math
import os
import statistics
import subprocess
import sys
import tarfile
import tomllib
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

# Cygnet's id: torchvision's function, its settings, and its layers with stride 2 from the image on.
MOBILENET_V2 = ["features.0.0", "features.2.conv.1.0"]
SHUFFLENET_V2 = ["conv1.0", "maxpool"]
NETWORKS = {
    "mobilenet_v2": ("mobilenet_v2", {}, MOBILENET_V2),
    "mobilenet_v2_0.5": ("mobilenet_v2", {"width_mult": 0.5}, MOBILENET_V2),
    "shufflenet_v2": ("shufflenet_v2_x1_0", {}, SHUFFLENET_V2),
    "shufflenet_v2_0.5": ("shufflenet_v2_x0_5", {}, SHUFFLENET_V2),
}
# By how much the networks above step altogether.
STEP = 32
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
# What the PyTorch side below cannot do must be off.
OFF = {
    "": {"train": "all", "frozen_batch_norm": False, "stochastic_depth": 0, "ema": 0, "head_rate": 1,
         "layer_decay": 1, "early_stop": 0, "balance": "none"},
    "optimizer": {"kind": "sgd", "decay_all": False},
    "schedule": {"kind": "cosine"},
    "augment": {"crop": "padded", "vertical_flip": 0, "rotation": 0, "brightness": 0, "contrast": 0,
                "saturation": 0, "hue": 0, "rand_augment": 0, "erase": 0},
    "mix": {"mixup": 0, "cutmix": 0},
    "distill": {"teacher": ""},
}


def read_pictures(archive, work):
    """Decodes every picture once, to work/pictures.npz, and a test picture of each class to work/photos/*.png."""
    import numpy
    from PIL import Image

    photos = Path(work) / "photos"
    photos.mkdir(exist_ok=True)
    found = {"train": [], "test": []}
    with tarfile.open(archive) as tar:
        for member in tar:
            part, label = Path(member.name).parts[-3:-1] if member.isfile() else ("", "")
            if part in found:
                picture = Image.open(tar.extractfile(member)).convert("RGB")
                photo = photos / f"{label}.png"
                if part == "test" and not photo.exists():
                    picture.save(photo)
                found[part].append((label, numpy.asarray(picture)))
    labels = sorted({label for label, _ in found["train"]})
    arrays = {}
    for part, pictures in found.items():
        arrays[f"{part}_x"] = numpy.stack([picture for _, picture in pictures])
        arrays[f"{part}_y"] = numpy.array([labels.index(label) for label, _ in pictures])
    numpy.savez(Path(work) / "pictures.npz", **arrays)


def build(network, recipe, classes):
    """torchvision's network for small pictures: early strides become 1 until the last map has enough rows."""
    import torch
    import torchvision

    function, settings, early = NETWORKS[network]
    net = getattr(torchvision.models, function)(num_classes=classes, **settings)
    kept = 1
    while recipe["image"] * kept < recipe["smallest_map"] * STEP:
        kept *= 2
    for name in early[: int(math.log2(kept))]:
        layer = net.get_submodule(name)
        layer.stride = (1, 1) if isinstance(layer, torch.nn.Conv2d) else 1
    for layer in net.modules():
        if recipe["dropout"] >= 0 and isinstance(layer, torch.nn.Dropout):
            layer.p = recipe["dropout"]
    return net


def draw_weights(net):
    """Cygnet's rules for weights to start from."""
    import torch

    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            fan_out = layer.out_channels // layer.groups * math.prod(layer.kernel_size)
            torch.nn.init.normal_(layer.weight, 0, math.sqrt(2 / fan_out))
        elif isinstance(layer, torch.nn.Linear):
            bound = 1 / math.sqrt(layer.in_features)
            torch.nn.init.uniform_(layer.weight, -bound, bound)
            torch.nn.init.zeros_(layer.bias)


def normalised(pictures):
    """Float tensors of uint8 pictures `[n, height, width, 3]`, channels last."""
    import torch

    mean, std = (torch.tensor(x) for x in (MEAN, STD))
    return ((pictures / 255 - mean) / std).permute(0, 3, 1, 2)


def logits_of(net, pictures):
    import torch

    net.eval()
    with torch.inference_mode():
        return torch.cat([net(normalised(part)) for part in pictures.split(500)])


def load_pictures(path):
    import numpy
    import torch

    return {name: torch.from_numpy(array) for name, array in numpy.load(path).items()}


def train_in_torch(recipe, network, seed, init, pictures, threads):
    """Follows the recipe and prints an epoch's figures as a line of JSON, as `cygnet train --json` does."""
    import torch

    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data = load_pictures(pictures)
    images, labels = data["train_x"], data["train_y"]
    net = build(network, recipe, int(labels.max()) + 1)
    if init == "cygnet":
        draw_weights(net)
    net = net.to(memory_format=torch.channels_last)
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = recipe["batch_norm_momentum"]

    settings, schedule, augment = recipe["optimizer"], recipe["schedule"], recipe["augment"]
    batch, epochs = recipe["batch"], recipe["epochs"]
    peak = settings["rate"] * (batch / settings["rate_batch"] if settings["rate_batch"] else 1)
    weights = [param for param in net.parameters() if param.ndim > 1]
    others = [param for param in net.parameters() if param.ndim == 1]
    optimizer = torch.optim.SGD(
        [{"params": weights}, {"params": others, "weight_decay": 0}],
        lr=peak,
        momentum=settings["momentum"],
        nesterov=settings["nesterov"],
        weight_decay=settings["weight_decay"],
    )
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=recipe["mix"]["label_smoothing"])
    pad, side = augment["crop_padding"], images.shape[1]
    padded = torch.nn.functional.pad(images, (0, 0, pad, pad, pad, pad))
    steps = len(images) // batch

    def factor(epoch):
        rise = schedule["warmup"]
        if epoch < rise:
            return schedule["warmup_start"] + (1 - schedule["warmup_start"]) * epoch / rise
        cosine = (1 + math.cos(math.pi * (epoch - rise) / (epochs - rise))) / 2
        return schedule["final"] + (1 - schedule["final"]) * cosine

    for epoch in range(epochs):
        net.train()
        order = torch.randperm(len(images))
        losses, right = 0.0, 0
        for step in range(steps):
            chosen = order[step * batch : (step + 1) * batch]
            down, across = (torch.randint(2 * pad + 1, (batch, 1)) + torch.arange(side) for _ in range(2))
            across = torch.where(torch.rand(batch, 1) < augment["flip"], across.flip(1), across)
            part = padded[chosen[:, None, None], down[:, :, None], across[:, None, :]]
            rate = peak * factor(epoch + step / steps)
            for group in optimizer.param_groups:
                group["lr"] = rate
            logits = net(normalised(part))
            loss = loss_of(logits, labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            if settings["clip"]:
                torch.nn.utils.clip_grad_norm_(net.parameters(), settings["clip"])
            optimizer.step()
            losses += loss.item()
            right += (logits.argmax(1) == labels[chosen]).sum().item()
        tested = (logits_of(net, data["test_x"]).argmax(1) == data["test_y"]).double().mean().item()
        report = {"event": "epoch", "epoch": epoch + 1, "loss": losses / steps, "rate": rate}
        report |= {"accuracy": 100 * right / (steps * batch), "validation_top1": 100 * tested}
        print(json.dumps(report), flush=True)


def load_in_torch(recipe, network, model, pictures, answers):
    """Prints what Cygnet's model scores in torchvision's network, and how far its logits are from Cygnet's answers."""
    import numpy
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    data = load_pictures(pictures)
    net = build(network, recipe, int(data["train_y"].max()) + 1)
    tensors = load_file(model)
    counters = {name: value for name, value in net.state_dict().items() if name.endswith(".num_batches_tracked")}
    net.load_state_dict(tensors | counters, strict=True)
    tested = (logits_of(net, data["test_x"]).argmax(1) == data["test_y"]).double().mean().item()
    furthest = 0.0
    for answer in answers:
        photo = torch.from_numpy(numpy.array(Image.open(answer["path"]).convert("RGB")))
        theirs = torch.log_softmax(logits_of(net, photo[None])[0], 0)
        for guess in answer["top"]:
            furthest = max(furthest, abs(theirs[guess["index"]].item() - math.log(guess["probability"])))
    print(json.dumps({"top1": 100 * tested, "logits": furthest}))


def environment(python):
    if python:
        return python
    home = HERE / ".venv"
    python = str(home / "bin" / "python")
    if not Path(python).exists():
        venv.create(home, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "torch", "torchvision", "safetensors", "Pillow"], check=True)
    return python


def binary(path):
    if path:
        return path
    subprocess.run(["cargo", "build", "-q", "--release", "-p", "cygnet-cli"], check=True, cwd=ROOT)
    return str(Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release" / "cygnet")


def outputs(command):
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def main():
    shared = os.environ.get("CYGNET_SHARED")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", nargs="?", default=shared and f"{shared}/data/cifar10-jpeg.tar.xz")
    parser.add_argument("--networks", nargs="+", default=["mobilenet_v2_0.5", "shufflenet_v2_0.5"], choices=NETWORKS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    changed = ["epochs=5", "smallest_map=2"]
    parser.add_argument("--set", nargs="+", default=changed, help="changes of the recipe scratch-small")
    parser.add_argument("--init", choices=["cygnet", "torchvision"], default="cygnet", help="PyTorch's first weights")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at a time")
    parser.add_argument("--work", type=Path, default=ROOT / "target" / "accuracy", help="where runs are kept")
    parser.add_argument("--cygnet", help="a binary of cygnet, instead of building it")
    parser.add_argument("--python", help="a Python with the packages, instead of an own environment")
    args = parser.parse_args()
    if not args.archive:
        parser.error("give the ARCHIVE, or set CYGNET_SHARED")
    args.work.mkdir(parents=True, exist_ok=True)
    python, cygnet = environment(args.python), binary(args.cygnet)

    changes = [word for change in [*args.set, "validation=0"] for word in ("--set", change)]
    printed = [cygnet, "train", "--print-recipe", "--recipe", "scratch-small", *changes]
    recipe = tomllib.loads(subprocess.run(printed, check=True, capture_output=True, text=True).stdout)
    for table, settings in OFF.items():
        for name, value in settings.items():
            if (recipe[table] if table else recipe)[name] != value:
                sys.exit(f"{table} {name}: the PyTorch side knows only {value}")

    def call(function, **values):
        return [python, __file__, "--call", json.dumps([function.__name__, values])]

    pictures = args.work / "pictures.npz"
    if not pictures.exists():
        subprocess.run(call(read_pictures, archive=args.archive, work=str(args.work)), check=True)

    def model(network, seed):
        return args.work / f"{network}-{seed}.safetensors"

    def run(side, network, seed):
        kept = args.work / f"{network}-{seed}-{side}.json"
        asked = recipe | {"init": args.init if side == "torch" else "cygnet"}
        if kept.exists() and (found := json.loads(kept.read_text()))["recipe"] == asked:
            return found["epochs"]
        if side == "torch":
            command = call(train_in_torch, recipe=recipe, network=network, seed=seed, init=args.init,
                           pictures=str(pictures), threads=args.threads)
        else:
            command = [cygnet, "train", args.archive, "--network", network, "--from", "scratch"]
            command += ["--recipe", "scratch-small", *changes, "--seed", str(seed), "--threads", str(args.threads)]
            command += ["--out", str(model(network, seed)), "--overwrite", "--json"]
        epochs = [line for line in outputs(command) if line["event"] == "epoch"]
        kept.write_text(json.dumps({"recipe": asked, "epochs": epochs}))
        return epochs

    tasks = [(side, network, seed) for network in args.networks for seed in args.seeds for side in ("cygnet", "torch")]
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        curves = dict(zip(tasks, pool.map(lambda task: run(*task), tasks)))

    columns = ["epoch", "loss", "accuracy", "validation_top1", "rate"]
    with open(args.work / "curves.tsv", "w") as file:
        print("network", "seed", "side", *columns, sep="\t", file=file)
        for (side, network, seed), epochs in curves.items():
            for epoch in epochs:
                print(network, seed, side, *(f"{epoch[column]:.6g}" for column in columns), sep="\t", file=file)

    print(f"{'network':18} {'seed':>5} {'cygnet %':>9} {'torch %':>9} {'differ':>7} {'loaded %':>9} {'logits':>9}")
    for network in args.networks:
        finals = []
        for seed in args.seeds:
            ours, theirs = (curves[side, network, seed][-1]["validation_top1"] for side in ("cygnet", "torch"))
            finals.append((ours, theirs))
            last = str(model(network, seed).with_suffix(".last.safetensors"))
            photos = str(args.work / "photos")
            answers = outputs([cygnet, "classify", "--json", "--top", "1000", "--model", last, photos])
            (loaded,) = outputs(call(load_in_torch, recipe=recipe, network=network, model=last,
                                     pictures=str(pictures), answers=answers))
            print(f"{network:18} {seed:5} {ours:9.2f} {theirs:9.2f} {ours - theirs:+7.2f}"
                  f" {loaded['top1']:9.2f} {loaded['logits']:9.1e}", flush=True)
        ours, theirs = (statistics.mean(column) for column in zip(*finals))
        print(f"{network:18} {'mean':>5} {ours:9.2f} {theirs:9.2f} {ours - theirs:+7.2f}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--call"]:
        # The part of this script that runs in the environment.
        name, values = json.loads(sys.argv[2])
        {f.__name__: f for f in (read_pictures, train_in_torch, load_in_torch)}[name](**values)
    else:
        main()
