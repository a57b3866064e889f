"""Speed and memory of the milter core, with pymilter beside it in the same run.

::

    make bench
    python -m benchmarks.milter [--quick] [--only PART]... [--json] [--keep DIRECTORY]

It only reports: the exit status is 0 unless something did not work.
"""

from __future__ import annotations

import sys

from benchmarks import parts
from benchmarks.command import machine, run

__all__ = ["PARTS", "machine"]

PARTS = {
    "compare": parts.compare,
    "spf": parts.spf,
    "start": parts.start,
    "idle": parts.idle_connections,
    "growth": parts.growth,
}

if __name__ == "__main__":
    sys.exit(run("benchmarks.milter", PARTS))
