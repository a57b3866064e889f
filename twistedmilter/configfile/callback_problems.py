"""What may be wrong with C{[callback]} beyond its types."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

from twistedmilter.errors import ConfigProblem
from twistedmilter.model.settings import Settings
from twistedmilter.policy.address_set import AddressSet
from twistedmilter.policy.spf_identity import is_host_name


def callback_problems(settings: Settings, base_dir: Path) -> Iterator[ConfigProblem]:
    """Names, addresses and times that cannot be.

    @param base_dir: where C{file:} entries are.
    """
    section = settings.callback
    name = section.own_name
    if name and not (is_host_name(name) and name.isascii() and name.isprintable() and " " not in name):
        yield ConfigProblem("callback.own_name", f"{name!r:.80} is no host name", "allowed: mail.example.com")
    for index, text in enumerate(section.own_addresses):
        try:
            ip_address(text)
        except ValueError:
            wrong = f"{text!r:.60} is no address"
            yield ConfigProblem(f"callback.own_addresses[{index}]", wrong, "allowed: IPv4 and IPv6 addresses")
    for index, entry in enumerate(section.never_probe):
        try:
            AddressSet.parse([entry], base_dir)
        except ValueError as error:
            yield ConfigProblem(f"callback.never_probe[{index}]", str(error))
    if section.mode != "off" and section.total_timeout >= settings.policy.message_budget:
        wrong = f"{section.total_timeout:g} s would end with the budget of the message"
        yield ConfigProblem("callback.total_timeout", wrong, "allowed: less than policy.message_budget")
