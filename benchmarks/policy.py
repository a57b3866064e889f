"""What policy costs: the whole chain, callbacks under way, a cached answer, and the writes of the store.

::

    make bench
    python -m benchmarks.policy [--quick] [--only PART]... [--json] [--keep DIRECTORY]

It only reports: the exit status is 0 unless something did not work.
"""

from __future__ import annotations

import sys

from benchmarks import callbacks, parts, stores
from benchmarks.command import run

PARTS = {"chain": parts.chain, "callbacks": callbacks.in_flight, "stores": stores.grouped}

if __name__ == "__main__":
    sys.exit(run("benchmarks.policy", PARTS))
