"""What the commands of the benchmarks share: their options, and how they print what they found."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path

import twisted
from benchmarks.figures import Part, as_table
from benchmarks.parts import FULL, QUICK, Effort
from benchmarks.tools import BenchmarkError


def machine() -> str:
    """What it ran on, in one line."""
    system = "unknown system"
    release = Path("/etc/os-release")
    if release.exists():
        fields = dict(line.split("=", 1) for line in release.read_text("utf-8").splitlines() if "=" in line)
        system = fields.get("PRETTY_NAME", system).strip('"')
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, {system}, Linux {platform.release()}, CPython {platform.python_version()}, "
        f"Twisted {twisted.__version__}; load average before {load:.1f}"
    )


def run(
    program: str, parts: Mapping[str, Callable[[Path, Effort], Part]], arguments: Sequence[str] | None = None
) -> int:
    """Run the parts in their order and print what they found; the exit status is 0 unless something did not work."""
    options = _options(program, tuple(parts), arguments)
    where = machine()
    if not options.json:
        print(f"{where}\n", flush=True)
    started = time.monotonic()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    place = nullcontext(str(options.keep.resolve())) if options.keep else tempfile.TemporaryDirectory(prefix="bench-")
    found: dict[str, Part] = {}
    try:
        with place as directory:
            for name in options.only or parts:
                found[name] = parts[name](Path(directory), QUICK if options.quick else FULL)
                if not options.json:
                    print(found[name].as_text(), flush=True)
    except BenchmarkError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"machine": where, **{name: part.as_dict() for name, part in found.items()}}, indent=1))
    else:
        print(_summary(tuple(found.values())), f"in {time.monotonic() - started:.0f} s", sep=", ")
    return 0


def _options(program: str, parts: Sequence[str], arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Speed and memory, reported.")
    parser.add_argument("--quick", action="store_true", help="one short round of everything: a rough idea")
    if len(parts) > 1:
        parser.add_argument("--only", action="append", choices=parts, help="this part only; may be repeated")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="measure there; leave files and logs there")
    parser.set_defaults(only=None)
    return parser.parse_args(arguments)


def _summary(parts: Sequence[Part]) -> str:
    targets = [target for part in parts for target in part.targets]
    met = sum(target.is_met for target in targets)
    table = as_table(("target", "figure", "bound", ""), [target.as_row() for target in targets])
    return "\n".join([*table, "", f"{met} of {len(targets)} targets met"])
