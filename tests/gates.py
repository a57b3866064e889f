"""The gates: what must be clean before a test says anything."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PLUGIN = "twisted/plugins/twistedmilter_plugin.py"
TYPED = ("twistedmilter", "tests", "benchmarks", "docs/examples", "tools/config_reference.py", "setup.py", PLUGIN)


def gates() -> dict[str, list[str]]:
    """Each gate's name and its command, to be run in L{ROOT}; the slowest first."""
    here = Path(sys.executable).parent  # the tools of this environment, whatever PATH says
    typed = [path for path in TYPED if (ROOT / path).exists()]
    return {
        "gate: types": [sys.executable, "-m", "mypy", *typed],
        "gate: ruff": [str(here / "ruff"), "check", "."],
        "gate: format": [str(here / "ruff"), "format", "--check", "."],
        "gate: docstrings": [str(here / "interrogate"), "-vv", "twistedmilter"],
        "gate: news": [str(here / "towncrier"), "build", "--draft", "--version", "next"],
    }
