"""What commands may ask of the running name server, through the control socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from twistedmilter.control import Command, CommandError
from twistedmilter.dns_server import DNSServer
from twistedmilter.dns_why import listings_of, most_hit

MAX_HIT: Final = 1_000  # rules that are told at once


class DNSCommands:
    """The commands about C{[dns]}.

    @ivar commands: C{dns-zones} tells of all zones; C{dns-why} which of them list a name, and why; C{dns-hits}
        which rules list most; C{dns-reload} reads the files of one, or of all, now.
    """

    def __init__(self, server: DNSServer) -> None:
        self._server = server
        self.commands: Mapping[str, Command] = {
            "dns-zones": self.tell_zones,
            "dns-why": self.why,
            "dns-hits": self.hits,
            "dns-reload": self.reload,
        }

    def tell_zones(self, _arguments: Mapping[str, object]) -> object:
        """Rules, readings, answers and troubles by zone."""
        return self._server.snapshot().get("zones", {})

    def why(self, arguments: Mapping[str, object]) -> object:
        """What each zone has on C{name}, a domain or an IP address; see L{listings_of}.

        @raise CommandError: it is neither, or no zone is loaded here.
        """
        name = str(arguments.get("name", ""))
        try:
            return listings_of(self._server.zones.values(), name)
        except ValueError as error:
            raise CommandError(str(error)) from None

    def hits(self, arguments: Mapping[str, object]) -> object:
        """The C{number} rules that have listed most; see L{most_hit}.

        @raise CommandError: that is no number, or no zone is loaded here.
        """
        number = arguments.get("number", 20)
        if not isinstance(number, int) or not 0 < number <= MAX_HIT:
            raise CommandError(f"{number!r:.40} is no number of rules from 1 to {MAX_HIT}")
        if all(zone.served.zone is None for zone in self._server.zones.values()):
            raise CommandError("no zone is loaded here; processes of their own do not tell their hits")
        return most_hit(self._server.zones.values(), self._server.responder.hits, number)

    def reload(self, arguments: Mapping[str, object]) -> object:
        """The names of the zones that are being read again.

        @param arguments: C{zone}, a name, or nothing for all; C{forced}, true to take what would be refused otherwise.
        @raise CommandError: there is no such zone.
        """
        name = arguments.get("zone")
        try:
            return self._server.reload(None if name is None else str(name), forced=arguments.get("forced") is True)
        except KeyError:
            known = ", ".join(self._server.zones) or "none"
            raise CommandError(f"there is no zone {name!r:.80} with files; there are {known}") from None
