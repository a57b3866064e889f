"""The MTA configuration lines that README shows: the tests use these, so they are right."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"
_BLOCK = re.compile(r"^```(m4|ini)\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class DocumentedLines:
    """What an administrator copies.

    @ivar sendmail_mc: lines for sendmail.mc. @ivar main_cf: lines for main.cf.
    """

    sendmail_mc: str
    main_cf: str

    def main_cf_value(self, name: str) -> str:
        """The value of one parameter of main.cf."""
        match = re.search(rf"^{name}\s*=\s*(.*)$", self.main_cf, re.MULTILINE)
        if match is None:
            raise LookupError(f"README's main.cf lines do not set {name}")
        return match[1].strip()


def documented_lines(readme: str) -> DocumentedLines:
    """The lines of the first fenced block of each kind that connects us.

    @raise LookupError: README does not show them.
    """
    blocks = _BLOCK.findall(readme)
    for kind, word in (("m4", "INPUT_MAIL_FILTER"), ("ini", "smtpd_milters")):
        if not any(found == kind and word in text for found, text in blocks):
            raise LookupError(f"README.md has no ```{kind} block with {word}")
    return DocumentedLines(
        next(text for kind, text in blocks if kind == "m4" and "INPUT_MAIL_FILTER" in text),
        next(text for kind, text in blocks if kind == "ini" and "smtpd_milters" in text),
    )
