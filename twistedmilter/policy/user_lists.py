"""Who exists in a domain: lists of local parts, in the configuration and in files that may change (seed-spec L02)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from twistedmilter.model.address import Mailbox
from twistedmilter.model.listen import MAX_PORT
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.address_set import AddressSet, folded_domain
from twistedmilter.policy.followed_files import FollowedFiles

LOOK_AGAIN: Final = 5.0  # seconds between two looks at a file
SMTP_PORT: Final = 25
_SERVER: Final = re.compile(
    r"\[(?P<v6>[^\]]*)\](:(?P<port6>\d{1,5}))?|(?P<v4>[0-9.]+)(:(?P<port4>\d{1,5}))?|(?P<bare>.*)"
)
_FILE: Final = "file:"
_ALWAYS: Final = "postmaster"  # RFC 5321 section 4.5.1

Tell = Callable[[str], None]


def read_users(lines: Iterable[str], domain: str) -> frozenset[str]:
    """The local parts of a file, in lower case (L03); line by line, so that others get their turn.

    One a line, C{#} begins a comment; what stands behind white space is left out, so that the text form of an MTA's
    map will do.  C{user@domain} counts for its domain only.

    @param domain: folded.
    """
    words = (line.partition("#")[0].split() for line in lines)
    users = (word[0].rpartition("@") for word in words if word)
    return frozenset(
        (local if at else name).lower() for local, at, name in users if not at or folded_domain(name) == domain
    )


def read_user_file(path: Path, domain: str) -> frozenset[str]:
    """The users of a domain in a file; this waits for the disk.

    @param domain: folded.
    @raise ValueError: it cannot be read, or names nobody.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            users = read_users(lines, domain)
    except (OSError, UnicodeDecodeError) as failure:
        raise ValueError(f"{path} cannot be read: {failure}") from None
    if not users:  # half written, or the wrong file: it would refuse everybody for good
        raise ValueError(f"{path} names no user of {domain}")
    return users


@dataclass(frozen=True, eq=False)
class UserList:
    """The users of one domain."""

    named: AddressSet
    files: tuple[FollowedFiles[frozenset[str]], ...]

    def __contains__(self, mailbox: Mailbox) -> bool:
        """Whether the mailbox exists."""
        local = mailbox.local_part.lower()
        return (
            local == _ALWAYS
            or self.named.match(mailbox) is not None
            or any(local in file.current for file in self.files)
        )


@dataclass(frozen=True, eq=False)
class UserLists:
    """The users of every domain that has a list.

    @ivar delimiter: what ends the user in C{user+detail}; may be empty.
    """

    lists: Mapping[str, UserList]
    delimiter: str

    @property
    def files(self) -> Iterator[FollowedFiles[frozenset[str]]]:
        """The files of all domains."""
        return (file for users in self.lists.values() for file in users.files)

    def is_unknown(self, mailbox: Mailbox) -> bool:
        """Whether the domain has a list, and this mailbox is not in it."""
        users = self.lists.get(folded_domain(mailbox.domain))
        if users is None or mailbox in users:
            return False
        user, found, _detail = mailbox.local_part.partition(self.delimiter or "\0")
        return not (found and user and Mailbox(f"{user}@{mailbox.domain}", user, mailbox.domain) in users)


def parse_user_lists(
    table: Mapping[str, Sequence[str]], delimiter: str, base_dir: Path, tell: Tell = lambda _trouble: None
) -> UserLists:
    """The lists of C{[recipients] users}.

    @param base_dir: where relative paths begin.
    @param tell: told, once each, why a changed file is not used; the users stay as they were.
    @raise ValueError: a domain or an entry cannot be used; the text names it.
    """
    lists = {}
    for domain, entries in table.items():
        AddressSet.parse([domain])
        if not domain or "*" in domain or "@" in domain or domain.startswith((".", "!", _FILE, "<")):
            raise ValueError(f"{domain!r} is not a domain")
        folded = folded_domain(domain)
        if folded in lists:
            raise ValueError(f"{domain!r} stands there twice")
        lists[folded] = _parse_users(folded, entries, base_dir, tell)
    return UserLists(lists, delimiter)


def _parse_users(domain: str, entries: Sequence[str], base_dir: Path, tell: Tell) -> UserList:
    if not entries:
        raise ValueError(f"{domain!r} has no users; leave it out, or every recipient of it would be refused")
    named = [entry for entry in entries if not entry.startswith(_FILE)]
    for entry in named:
        if "@" in entry or not entry.strip():
            raise ValueError(f"{entry!r} of {domain!r} is not a local part; allowed are local parts, * and file:PATH")
    files = [entry.removeprefix(_FILE) for entry in entries if entry.startswith(_FILE)]
    return UserList(
        AddressSet.parse([f"{entry.strip()}@{domain}" for entry in named]),
        tuple(_follow(base_dir / path, domain, tell) for path in files),
    )


def _follow(path: Path, domain: str, tell: Tell) -> FollowedFiles[frozenset[str]]:
    return FollowedFiles(
        [path],
        partial(read_user_file, path, domain),
        failed=lambda trouble: tell(f"{trouble}; its users stay as they were"),
        interval=LOOK_AGAIN,
    )


def parse_server(text: str) -> tuple[IPAddress, int]:
    """The address and port of C{[recipients] ask}: C{ADDRESS}, C{ADDRESS:PORT} or C{[ADDRESS]:PORT}.

    @raise ValueError: it is none of these.
    """
    match = _SERVER.fullmatch(text.strip())
    host, port = "", SMTP_PORT
    if match is not None:
        host = match["v6"] or match["v4"] or match["bare"] or ""
        port = int(match["port6"] or match["port4"] or SMTP_PORT)
    try:
        ip = ip_address(host)
    except ValueError:
        ip = None
    if ip is None or not 0 < port <= MAX_PORT:
        message = f"{text!r:.60} is no server; allowed are ADDRESS, ADDRESS:PORT and [IPv6 address]:PORT"
        raise ValueError(message)
    return ip, port
