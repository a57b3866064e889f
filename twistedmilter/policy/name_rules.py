"""Zone files of names and patterns, where a check asks them without the DNS."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from twistedmilter.blocklist.loading import Limits, Source, lines_of, load_at_once, load_zone
from twistedmilter.blocklist.problems import ZoneError
from twistedmilter.blocklist.zone import Zone, ZoneKind
from twistedmilter.policy.address_set import folded_domain
from twistedmilter.policy.dns_lists import is_name
from twistedmilter.policy.followed_files import FollowedFiles

_APEX: Final = (b"throwaway",)  # nobody asks for it


class NameListing(Struct, frozen=True):
    """What the rules have on a name.

    @ivar codes: return codes, as addresses. @ivar rule: which it is, C{file:line}.
    @ivar text: of the rule about this name, printable ASCII; may be empty.
    """

    codes: tuple[bytes, ...]
    rule: str
    text: str


def read_rules(files: Sequence[str], base_dir: Path, wall: Callable[[], float]) -> Zone:
    """The rules of all files; this waits for the disk.

    @param base_dir: where relative names begin. @param wall: seconds since the epoch.
    @raise ValueError: a file cannot be read, or holds what cannot be used; a line for each problem.
    """
    with ExitStack() as stack:
        sources = []
        for name in files:
            try:
                sources.append(Source(name, lines_of(stack.enter_context((base_dir / name).open("rb")))))
            except OSError as error:
                raise ValueError(f"{name} cannot be read: {error.strerror or error}") from None
        try:
            limits = Limits(forced=not files)  # no files is nothing odd, an empty one is
            return load_at_once(load_zone(_APEX, ZoneKind.RHSBL, sources, wall, limits=limits)).zone
        except ZoneError as error:
            raise ValueError(str(error)) from None


def follow_rules(
    files: Sequence[str], base_dir: Path, wall: Callable[[], float], tell: Callable[[str], None] = lambda _trouble: None
) -> FollowedFiles[Zone]:
    """The same, following the files.

    @param tell: told, once each, why changed files are not used.
    @raise ValueError: as L{read_rules}.
    """
    return FollowedFiles(
        [base_dir / name for name in files],
        partial(read_rules, files, base_dir, wall),
        failed=lambda trouble: tell(f"{'; '.join(trouble.splitlines())}; the rules stay as they were"),
    )


def find_name(rules: Zone, name: str) -> NameListing | None:
    """What the rules have on a host name; None if nothing, and for what is no host name."""
    folded = folded_domain(name.strip())
    if not is_name(folded):
        return None
    octets = folded.encode("ascii")
    listing = rules.find(tuple(octets.split(b".")))
    if listing is None:
        return None
    text = listing.text(octets) or b""
    return NameListing(listing.codes, listing.rule.ident, text.decode("ascii", "replace"))
