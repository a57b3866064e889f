"""The openspf test suite for RFC 7208 (C{tests/data/rfc7208-tests.yml}) as zones and cases."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import yaml
from dns.rdatatype import RdataType
from dns.rdtypes.ANY.TXT import TXT

from tests.zonetext import Fault, Zone
from twistedmilter.model.transaction import IPAddress

SUITE = Path(__file__).parent / "data" / "rfc7208-tests.yml"
NO_EXPLANATION = "DEFAULT"  # the suite's word for the receiver's own text


@dataclass(frozen=True)
class Case:
    """One evaluation and what may come of it.

    @ivar results: any of these is right.
    @ivar explanation: None: not looked at; empty: the domain gives none.
    """

    name: str
    ip: IPAddress
    mail_from: str
    helo: str
    results: tuple[str, ...]
    explanation: str | None


@dataclass(frozen=True)
class Scenario:
    """Cases that share a zone."""

    name: str
    zone: Zone
    cases: tuple[Case, ...]


def scenarios() -> Iterator[Scenario]:
    """The whole suite."""
    for document in yaml.safe_load_all(SUITE.read_bytes()):
        cases = tuple(_case(name, case) for name, case in document["tests"].items())
        yield Scenario(document["description"], _zone(document["zonedata"]), cases)


def _case(name: str, case: dict[str, Any]) -> Case:
    result = case["result"]
    explanation = case.get("explanation")
    return Case(
        name,
        ip_address(case["host"]),
        case["mailfrom"] or "",
        case["helo"],
        (result,) if isinstance(result, str) else tuple(result),
        "" if explanation == NO_EXPLANATION else explanation,
    )


def _zone(data: dict[str, list[Any]]) -> Zone:
    zone = Zone()
    for name, entries in data.items():
        if "TIMEOUT" in entries:
            zone.fail(name, RdataType.ANY, Fault.TIMEOUT)
        pairs = [pair for entry in entries if entry != "TIMEOUT" for pair in entry.items()]
        own_txt = any(rdtype == "TXT" for rdtype, _ in pairs)
        for rdtype, value in pairs:
            if rdtype != "SPF":
                _add(zone, name, rdtype, value)
            elif not own_txt:  # records of type SPF stand for TXT, unless there are some
                _add(zone, name, "TXT", value)
    return zone


def _add(zone: Zone, name: str, rdtype: str, value: Any) -> None:
    if value == "TIMEOUT":
        zone.fail(name, dns.rdatatype.from_text(rdtype), Fault.TIMEOUT)
    elif value != "NONE":
        zone.add(name, _record(rdtype, value))


def _record(rdtype: str, value: Any) -> dns.rdata.Rdata:
    if rdtype == "TXT":
        strings = [value] if isinstance(value, str) else value
        if not strings:  # illegal, but servers have sent it
            return dns.rdata.GenericRdata(dns.rdataclass.IN, RdataType.TXT, b"")
        return TXT(dns.rdataclass.IN, RdataType.TXT, [text.encode("utf-8") for text in strings])
    text = " ".join(str(part) or "." for part in (value if isinstance(value, list) else [value]))
    return dns.rdata.from_text("IN", rdtype, text, origin=dns.name.root, relativize=False)
