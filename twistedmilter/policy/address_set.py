"""Sets of mailboxes, one type wherever the configuration names senders, recipients or domains (seed-spec Y04)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import idna

from twistedmilter.model.address import Mailbox, parse_path

_DOMAIN = re.compile(r"[a-z0-9_*]([a-z0-9_*-]*[a-z0-9_*])?(\.[a-z0-9_*]([a-z0-9_*-]*[a-z0-9_*])?)*")
_LITERAL = re.compile(r"\[[0-9a-z:.]+\]")
_ALLOWED = "allowed are user@domain, user@, @domain, domain, .domain, file:DOMAIN, <> and *"
MAX_DOMAIN = 255  # octets, RFC 5321 section 4.5.3.1.2; longer ones are compared as they are


def folded_domain(domain: str) -> str:
    """A domain for comparison: lower case, A-labels, no trailing dot (RFC 5890; seed-spec LL-16).

    Text that is no domain comes back in lower case; this never fails.
    """
    text = domain.rstrip(".").lower()
    if text.isascii() or len(text) > MAX_DOMAIN:
        return text
    try:
        return idna.encode(text, uts46=True).decode("ascii")
    except UnicodeError:
        return text


class _MailboxTable:
    """Patterns of one sign; finds the entry that holds a mailbox."""

    def __init__(self) -> None:
        """Start empty."""
        self.null = ""
        self._mailboxes: dict[tuple[str, str], str] = {}
        self._local_parts: dict[str, str] = {}
        self._domains: dict[str, str] = {}
        self._suffixes: dict[str, str] = {}
        self._globs: list[tuple[re.Pattern[str], re.Pattern[str], str]] = []

    def add(self, local: str, domain: str, entry: str) -> None:
        """Add one pattern; an empty local part or domain stands for any."""
        if "*" in local or "*" in domain or (local and domain.startswith(".")):
            self._globs.append((_glob(local, ".*"), _glob(domain, r"[^.]*"), entry))
        elif not domain:
            self._local_parts.setdefault(local, entry)
        elif local:
            self._mailboxes.setdefault((local, domain), entry)
        elif domain.startswith("."):
            self._suffixes.setdefault(domain[1:], entry)
        else:
            self._domains.setdefault(domain, entry)

    def find(self, local: str, domain: str) -> str | None:
        """The entry that holds this mailbox, both parts folded; the most particular kind first."""
        found = self._mailboxes.get((local, domain)) or self._local_parts.get(local) or self._domains.get(domain)
        if found is None and self._suffixes:
            found = next((self._suffixes[parent] for parent in parents(domain) if parent in self._suffixes), None)
        if found is None:
            found = next(
                (
                    entry
                    for local_glob, domain_glob, entry in self._globs
                    if local_glob.fullmatch(local) and domain_glob.fullmatch(domain)
                ),
                None,
            )
        return found


def parents(domain: str) -> Iterator[str]:
    """The domains above this one, the nearest first."""
    _, dot, rest = domain.partition(".")
    while dot:
        yield rest
        _, dot, rest = rest.partition(".")


def _glob(text: str, star: str) -> re.Pattern[str]:
    if text.startswith("."):
        return re.compile(".+" + star.join(re.escape(part) for part in text.split("*")))
    return re.compile(star.join(re.escape(part) for part in text.split("*")) if text else ".*", re.DOTALL)


class AddressSet:
    """A set of mailboxes; L{parse} makes one.

    An entry that begins with C{!} is an exception: a mailbox that it matches is not in the set, whatever else
    matches it and wherever it stands in the list.  A set of exceptions only holds every other mailbox.
    The empty set holds none (seed-spec LL-10).  Case does not matter (LL-16), nor whether a domain is written
    in U-labels or A-labels (RFC 5890).
    """

    def __init__(self, entries: Sequence[str], base_dir: Path | None = None) -> None:
        """Parse the entries; see L{parse}."""
        self.entries = tuple(text for entry in entries if (text := entry.strip()))
        self._base_dir = base_dir
        self._members = _MailboxTable()
        self._exceptions = _MailboxTable()
        for entry in self.entries:
            if entry.startswith("!"):
                self._add(entry[1:].strip(), entry, self._exceptions)
            else:
                self._add(entry, entry, self._members)
        self._has_exceptions = any(entry.startswith("!") for entry in self.entries)
        self.only_exceptions = bool(self.entries) and all(entry.startswith("!") for entry in self.entries)

    @classmethod
    def parse(cls, entries: Sequence[str], base_dir: Path | str | None = None) -> AddressSet:
        """The set of these entries.

        @param entries: C{user@domain}; C{user@}, that local part anywhere; C{@domain} or C{domain}; C{.domain},
            all below it but not itself; C{user@.domain}; C{file:DOMAIN}, the local parts of that domain, one a line
            in a file of that name; C{<>}, the null reverse-path; C{*}, every mailbox.  C{*} within a domain
            stands for anything but a dot, within a local part for anything.  C{!} makes an exception.
        @param base_dir: where C{file:} entries are.
        @raise ValueError: an entry is none of these, or its file cannot be read; the text names the entry.
        """
        return cls(entries, Path(base_dir) if base_dir is not None else None)

    def __bool__(self) -> bool:
        """Whether there is any entry."""
        return bool(self.entries)

    def match(self, mailbox: Mailbox) -> str | None:
        """The entry that holds this mailbox, or None."""
        if not self.entries:
            return None
        if mailbox.is_null:
            return self._match_null()
        local, domain = mailbox.local_part.lower(), folded_domain(mailbox.domain)
        found = "everything else" if self.only_exceptions else self._members.find(local, domain)
        if found is not None and self._has_exceptions and self._exceptions.find(local, domain) is not None:
            return None
        return found

    def _match_null(self) -> str | None:
        if self._exceptions.null:
            return None
        return "everything else" if self.only_exceptions else self._members.null or None

    def _add(self, text: str, entry: str, table: _MailboxTable) -> None:
        if text == "<>":
            table.null = entry
        elif text == "*":
            table.add("*", "", entry)
        elif text.startswith("file:"):
            self._add_file(text.removeprefix("file:"), entry, table)
        elif "@" not in text:
            table.add("", _parse_domain(text, entry), entry)
        elif text.startswith("@"):
            table.add("", _parse_domain(text[1:], entry), entry)
        else:
            mailbox = parse_path(text)
            if '"' not in text and any(char.isspace() for char in text):
                raise _problem(entry)
            domain = _parse_domain(mailbox.domain, entry) if mailbox.domain else ""
            table.add(mailbox.local_part.lower(), domain, entry)

    def _add_file(self, name: str, entry: str, table: _MailboxTable) -> None:
        domain = _parse_domain(name, entry)
        path = (self._base_dir or Path()) / name
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as failure:
            raise ValueError(f"{entry!r}: {path} cannot be read: {failure}") from None
        for line in lines:
            local = line.partition("#")[0].strip()
            if local:
                table.add(parse_path(f"{local}@{domain}").local_part.lower(), domain, entry)


def _parse_domain(text: str, entry: str) -> str:
    dot = "." if text.startswith(".") else ""
    domain = folded_domain(text.removeprefix("."))
    if _DOMAIN.fullmatch(domain) is None and (dot or _LITERAL.fullmatch(domain) is None):
        raise _problem(entry)
    return dot + domain


def _problem(entry: str) -> ValueError:
    return ValueError(f"{entry!r} is not an address or domain: {_ALLOWED}, with ! before it for an exception")
