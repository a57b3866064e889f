"""What an MTA of the sandbox is told of the world around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tests.integration.certificates import Certificates
from tests.integration.documented import DocumentedLines


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where the MTA listens, whom it asks and where it delivers to.

    @ivar lines: README's lines. @ivar ports: the SMTP port of each role.
    @ivar milters: the milter port of each role. @ivar sink: the port that all mail is delivered to.
    @ivar certificates: for STARTTLS.
    """

    lines: DocumentedLines
    ports: Mapping[str, int]
    milters: Mapping[str, int]
    sink: int
    certificates: Certificates
