"""What a benchmark needs besides this checkout: the load generator, built here, and the peer, from PyPI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
BIN = HERE / "bin"
LIBMILTER = Path("/usr/include/libmilter/mfapi.h")
PYMILTER = "pymilter==1.0.5"


class BenchmarkError(Exception):
    """A benchmark could not be run; the text is for people."""


def run(*command: str | Path) -> str:
    """What a command prints.

    @raise BenchmarkError: it fails; with the end of what it said.
    """
    done = subprocess.run(
        [str(word) for word in command], cwd=ROOT, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if done.returncode:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise BenchmarkError(f"{command[0]}: exit status {done.returncode}\n{said}")
    return done.stdout


def generator() -> Path:
    """The load generator, compiled when its source is newer."""
    source, program = HERE / "milterload.c", BIN / "milterload"
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        BIN.mkdir(exist_ok=True)
        run("gcc", "-O2", "-Wall", "-Wextra", "-o", program, source)
    return program


def peer_python() -> Path:
    """A Python that has pymilter, in an environment that the service knows nothing of."""
    environment = BIN / "peer-venv"
    python = environment / "bin" / "python"
    if _has_pymilter(python):
        return python
    if not LIBMILTER.exists():
        run("sh", "tools/debian.sh", "bench")
    print(f"installing {PYMILTER} into {environment.relative_to(ROOT)}", file=sys.stderr)
    run(sys.executable, "-m", "venv", environment)
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYMILTER)
    return python


def _has_pymilter(python: Path) -> bool:
    if not os.access(python, os.X_OK):
        return False
    return subprocess.run([python, "-c", "import Milter"], capture_output=True, check=False).returncode == 0
