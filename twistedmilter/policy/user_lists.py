"""Who exists in a domain: lists of local parts, in the configuration and in files that may change (seed-spec L02)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from twistedmilter.model.address import Mailbox
from twistedmilter.model.listen import MAX_PORT
from twistedmilter.model.transaction import IPAddress
from twistedmilter.policy.address_set import AddressSet, folded_domain

LOOK_AGAIN: Final = 5.0  # seconds between two looks at a file
SMTP_PORT: Final = 25
_SERVER: Final = re.compile(
    r"\[(?P<v6>[^\]]*)\](:(?P<port6>\d{1,5}))?|(?P<v4>[0-9.]+)(:(?P<port4>\d{1,5}))?|(?P<bare>.*)"
)
_FILE: Final = "file:"
_ALWAYS: Final = "postmaster"  # RFC 5321 section 4.5.1

Tell = Callable[[str], None]


def read_users(text: str, domain: str) -> frozenset[str]:
    """The local parts of a file, in lower case (L03).

    One a line, C{#} begins a comment; what stands behind white space is left out, so that the text form of an MTA's
    map will do.  C{user@domain} counts for its domain only.

    @param domain: folded.
    """
    words = (line.partition("#")[0].split() for line in text.splitlines())
    users = (word[0].rpartition("@") for word in words if word)
    return frozenset(
        (local if at else name).lower() for local, at, name in users if not at or folded_domain(name) == domain
    )


class UserFile:
    """The users of one domain in one file, read again when the file changes."""

    def __init__(self, path: Path, domain: str, clock: Callable[[], float], tell: Tell) -> None:
        """Read it.

        @param tell: told, once each, why a changed file is not used; the users stay as they were.
        @raise ValueError: it cannot be read, or names nobody.
        """
        self._path = path
        self._domain = domain
        self._clock = clock
        self._tell = tell
        self._stamp: tuple[int, ...] = ()
        self._problem = ""
        self._looked = clock()
        self._users = self._read()

    def __contains__(self, local_part: str) -> bool:
        """Whether there is a user of this local part, in lower case."""
        if self._clock() - self._looked >= LOOK_AGAIN:
            self._looked = self._clock()
            self._refresh()
        return local_part in self._users

    def _refresh(self) -> None:
        try:
            if self._stamp_now() != self._stamp:
                self._users = self._read()
            self._problem = ""
        except (OSError, ValueError) as problem:
            text = f"{problem}; its users stay as they were"
            if text != self._problem:
                self._problem = text
                self._tell(text)

    def _stamp_now(self) -> tuple[int, ...]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_size, found.st_ino

    def _read(self) -> frozenset[str]:
        try:
            stamp = self._stamp_now()  # before reading: what is written meanwhile is seen next time
            users = read_users(self._path.read_text("utf-8"), self._domain)
        except (OSError, UnicodeDecodeError) as failure:
            raise ValueError(f"{self._path} cannot be read: {failure}") from None
        if not users:  # half written, or the wrong file: it would refuse everybody for good
            raise ValueError(f"{self._path} names no user of {self._domain}")
        self._stamp = stamp
        return users


@dataclass(frozen=True, eq=False)
class UserList:
    """The users of one domain."""

    named: AddressSet
    files: tuple[UserFile, ...]

    def __contains__(self, mailbox: Mailbox) -> bool:
        """Whether the mailbox exists."""
        local = mailbox.local_part.lower()
        return local == _ALWAYS or self.named.match(mailbox) is not None or any(local in each for each in self.files)


@dataclass(frozen=True, eq=False)
class UserLists:
    """The users of every domain that has a list.

    @ivar delimiter: what ends the user in C{user+detail}; may be empty.
    """

    lists: Mapping[str, UserList]
    delimiter: str

    def is_unknown(self, mailbox: Mailbox) -> bool:
        """Whether the domain has a list, and this mailbox is not in it."""
        users = self.lists.get(folded_domain(mailbox.domain))
        if users is None or mailbox in users:
            return False
        user, found, _detail = mailbox.local_part.partition(self.delimiter or "\0")
        return not (found and user and Mailbox(f"{user}@{mailbox.domain}", user, mailbox.domain) in users)


def parse_user_lists(
    table: Mapping[str, Sequence[str]], delimiter: str, base_dir: Path, clock: Callable[[], float], tell: Tell
) -> UserLists:
    """The lists of C{[recipients] users}.

    @param base_dir: where relative paths begin. @param clock: monotonic seconds.
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
        lists[folded] = _parse_users(folded, entries, base_dir, clock, tell)
    return UserLists(lists, delimiter)


def _parse_users(
    domain: str, entries: Sequence[str], base_dir: Path, clock: Callable[[], float], tell: Tell
) -> UserList:
    if not entries:
        raise ValueError(f"{domain!r} has no users; leave it out, or every recipient of it would be refused")
    named = [entry for entry in entries if not entry.startswith(_FILE)]
    for entry in named:
        if "@" in entry or not entry.strip():
            raise ValueError(f"{entry!r} of {domain!r} is not a local part; allowed are local parts, * and file:PATH")
    files = [entry.removeprefix(_FILE) for entry in entries if entry.startswith(_FILE)]
    return UserList(
        AddressSet.parse([f"{entry.strip()}@{domain}" for entry in named]),
        tuple(UserFile(base_dir / path, domain, clock, tell) for path in files),
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
