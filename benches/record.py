#!/usr/bin/env python3
"""Keeps what the comparison with other runtimes measured on this machine.

    benches/record.py RESULT.json...

reads files that the comparison wrote with --json and writes benches/record/<cpu>/<date>.csv, a row for each network,
engine, number of threads, batch and precision. Rows that the day's file has already are replaced, others are kept, so
that runs with several settings add up. `just tables` then writes the README's table anew.

The processor's name is that of the results, followed by its family and model in /proc/cpuinfo; --cpu gives another
name, and is needed for results of another machine. Standard library only.
"""
import argparse
import csv
import json
import os
import re
import sys
import tempfile
from pathlib import Path

KEY = ["model", "engine", "threads", "batch", "precision"]
FIELDS = [*KEY, "role", "version", "median_ms", "min_ms", "spread_pct", "rounds", "disturbed", "fma_peak_pct",
          "best_peer", "ratio", "cpu", "fma_gflops_per_core"]


def main():
    options = arguments()
    days = {}
    for path in options.results:
        try:
            result = json.loads(path.read_text())
            machine, rows = result["machine"], result["rows"]
            cpu = clean(options.cpu or cpu_name(machine["cpu"]))
            place = (tidy(cpu), day(machine["date"]))
            of_machine = {"cpu": cpu, "fma_gflops_per_core": machine["fma_gflops_per_core"]}
            rows = [{field: row[field] for field in FIELDS[:-2]} | of_machine for row in rows]
        except (OSError, ValueError, KeyError, TypeError) as error:
            sys.exit(f"record: {path}: not a result of the comparison ({error!r})")
        days.setdefault(place, []).extend(rows)
    for (cpu, date), rows in sorted(days.items()):
        disturbed = sum(row["disturbed"] > 0 for row in rows)
        if disturbed:
            print(f"record: {disturbed} of {len(rows)} rows were disturbed by other work", file=sys.stderr)
        print(write(options.folder / cpu / f"{date}.csv", rows))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULT.json")
    parser.add_argument("--cpu", help="the processor's name, for results of another machine")
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "record", help="where records are")
    return parser.parse_args()


def tidy(name):
    """A name of a folder: words of small letters and digits."""
    words = re.findall(r"[a-z0-9]+", name.lower())
    if not words:
        raise ValueError(f"{name!r} is no name")
    return "-".join(words)


def cpu_name(name, cpuinfo=Path("/proc/cpuinfo")):
    """The name with the processor's family and model, which brand strings of virtual machines leave out."""
    facts = {}
    for line in cpuinfo.read_text().splitlines() if cpuinfo.exists() else []:
        key, _, value = line.partition(":")
        facts.setdefault(key.strip(), value.strip())
    if facts.get("model name", name) != name:
        raise ValueError(f"measured on {name}, but this is {facts['model name']}; give --cpu")
    parts = [f"{word} {facts[key]}" for word, key in (("family", "cpu family"), ("model", "model")) if key in facts]
    return " ".join([name, *parts])


def clean(name):
    """A name without marks, and without what a table's cells may not have."""
    return " ".join(re.sub(r"\((R|TM)\)|[,\"@|]", " ", name).split())


def day(date):
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        raise ValueError(f"{date!r} is no date")
    return date


def write(path, rows):
    """Joins rows to a file's, through a new file, so that it is whole at any time."""
    key = lambda row: tuple(str(row[field]) for field in KEY)
    known = {}
    if path.exists():
        with open(path, newline="") as file:
            known = {key(row): row for row in csv.DictReader(file)}
    known.update((key(row), row) for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("w", newline="", dir=path.parent, suffix=".part", delete=False) as file:
        try:
            table = csv.DictWriter(file, FIELDS, lineterminator="\n")
            table.writeheader()
            table.writerows(sorted(known.values(), key=lambda row: [int(row["threads"]), int(row["batch"]), *key(row)]))
            file.close()
            os.chmod(file.name, 0o644)
            os.replace(file.name, path)
        except BaseException:
            os.unlink(file.name)
            raise
    return path


if __name__ == "__main__":
    main()
