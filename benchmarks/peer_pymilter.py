"""The peer: a filter on pymilter and C libmilter that does nothing but add one header.

Run by the benchmark in a virtual environment of its own::

    python peer_pymilter.py every|no-reply SOCKET

C{every} answers every callback, as programs written for pymilter do; C{no-reply} negotiates that the steps before
end of message are not answered.
"""

from __future__ import annotations

import sys
from typing import Any

import Milter  # type: ignore[import-not-found,import-untyped,unused-ignore]


class Null(Milter.Base):  # type: ignore[misc]
    """Has every callback; all of them let the message go on."""

    def connect(self, *_arguments: object) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def hello(self, _name: str) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def envfrom(self, *_arguments: object) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def envrcpt(self, *_arguments: object) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def data(self) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def header(self, _name: str, _value: str) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def eoh(self) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def body(self, _octets: bytes) -> Any:
        """Go on."""
        return Milter.CONTINUE

    def eom(self) -> Any:
        """Add the header."""
        self.addheader("X-Benchmark", "seen", 0)
        return Milter.CONTINUE

    def close(self) -> Any:
        """Nothing is kept."""
        return Milter.CONTINUE


class NoReply(Null):
    """The same; no step before end of message owes an answer."""


for _name in ("connect", "hello", "envfrom", "envrcpt", "data", "header", "eoh", "body"):
    setattr(NoReply, _name, Milter.noreply(getattr(Null, _name)))


def main(how: str, address: str) -> None:
    """Serve until told to end."""
    Milter.factory = NoReply if how == "no-reply" else Null
    Milter.set_flags(Milter.ADDHDRS)
    Milter.runmilter("benchmark", address, 60)


if __name__ == "__main__":
    main(*sys.argv[1:])
