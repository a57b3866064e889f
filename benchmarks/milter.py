"""Speed and memory of the milter core, with pymilter beside it in the same run.

::

    make bench
    python -m benchmarks.milter [--quick] [--only PART]... [--json] [--keep DIRECTORY]

It only reports: the exit status is 0 unless something did not work.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import twisted
from benchmarks.figures import Part
from benchmarks.parts import FULL, PARTS, QUICK
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


def main(arguments: list[str] | None = None) -> int:
    """Run the parts and print what they found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.milter", description="Speed and memory, reported.")
    parser.add_argument("--quick", action="store_true", help="one short round of everything: a rough idea")
    parser.add_argument("--only", action="append", choices=tuple(PARTS), help="this part only; may be repeated")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--keep", type=Path, metavar="DIRECTORY", help="leave configurations and logs there")
    options = parser.parse_args(arguments)
    where = machine()
    if not options.json:
        print(f"{where}\n", flush=True)
    started = time.monotonic()
    if options.keep is not None:
        options.keep.mkdir(parents=True, exist_ok=True)
    place = nullcontext(str(options.keep.resolve())) if options.keep else tempfile.TemporaryDirectory(prefix="bench-")
    parts: dict[str, Part] = {}
    try:
        with place as directory:
            for name in options.only or PARTS:
                parts[name] = PARTS[name](Path(directory), QUICK if options.quick else FULL)
                if not options.json:
                    print(parts[name].as_text(), flush=True)
    except BenchmarkError as trouble:
        print(trouble, file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps({"machine": where, **{name: part.as_dict() for name, part in parts.items()}}, indent=1))
    else:
        targets = [target for part in parts.values() for target in part.targets]
        met = sum(target.is_met for target in targets)
        print(f"{met} of {len(targets)} targets met, in {time.monotonic() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
