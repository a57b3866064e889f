"""What is wrong with the sections about conduct, beyond their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from twistedmilter.configfile.allowed import key_path
from twistedmilter.errors import ConfigProblem
from twistedmilter.model.conduct_settings import OutgoingSettings, RecipientsSettings
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.checks.outgoing import parse_users
from twistedmilter.policy.user_lists import parse_server, parse_user_lists


def recipients_problems(section: RecipientsSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    """Users, addresses and a server that are none, and a server without domains or domains without a server."""
    for domain, entries in section.users.items():
        parse = partial(parse_user_lists, {domain: entries}, section.delimiter, base_dir)
        yield from _tried(key_path("recipients.users", domain), parse)
    for key in ("never", "private", "ask_domains"):
        yield from _addresses(f"recipients.{key}", getattr(section, key), base_dir)
    if section.ask:
        yield from _tried("recipients.ask", partial(parse_server, section.ask))
    if bool(section.ask) != bool(section.ask_domains):
        missing = "ask_domains" if section.ask else "ask"
        yield ConfigProblem(f"recipients.{missing}", "is missing", "ask and ask_domains need each other")


def outgoing_problems(section: OutgoingSettings, base_dir: Path) -> Iterator[ConfigProblem]:
    """Exempt users that are no addresses."""
    for index, entry in enumerate(section.exempt):
        yield from _tried(f"outgoing.exempt[{index}]", partial(parse_users, [entry], base_dir))


def _addresses(where: str, entries: Sequence[str], base_dir: Path) -> Iterator[ConfigProblem]:
    for index, entry in enumerate(entries):
        yield from _tried(f"{where}[{index}]", partial(AddressSet.parse, [entry], base_dir))


def _tried(where: str, parse: Callable[[], object]) -> Iterator[ConfigProblem]:
    try:
        parse()
    except ValueError as error:
        yield ConfigProblem(where, str(error))
