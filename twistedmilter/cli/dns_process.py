"""One process of the name server; started by the service alone, see L{twistedmilter.dns_processes}."""

from __future__ import annotations

import socket
import sys
import time
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from twistedmilter.dns_processes import Order

MAX_WISH: Final = 2**20  # octets of a line of the service's: bans have comments of any length that a command takes


def main() -> None:
    """Do what standard input says, until it ends."""
    import msgspec
    from twisted.internet import reactor as installed
    from twisted.logger import globalLogBeginner, textFileLogObserver

    from twistedmilter.dns_processes import Order
    from twistedmilter.tap import quieten_collector, use_monotonic_time

    reactor: Any = installed
    use_monotonic_time(reactor)
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr, timeFormat=None)], redirectStandardIO=False)
    with open(0, "rb", buffering=0, closefd=False) as first:
        order = msgspec.json.decode(first.readline(), type=Order)
    reactor.callWhenRunning(quieten_collector)
    reactor.callWhenRunning(serve, reactor, order)
    reactor.run()


def serve(reactor: Any, order: Order) -> None:
    """Answer at the sockets that were handed down, and tell how it goes."""
    import msgspec
    from twisted.internet.stdio import StandardIO
    from twisted.internet.task import LoopingCall
    from twisted.protocols.basic import LineOnlyReceiver

    from twistedmilter.dns_bans import Ban, BanLists, Lift
    from twistedmilter.dns_processes import FIRST_FD, Reload
    from twistedmilter.dns_server import DNSServer

    bans = BanLists(time.time, is_on=order.settings.publish_bans)
    for ban in order.bans:
        bans.do(ban)
    server = DNSServer(order.settings, order.internal, reactor, time.time, bytes.fromhex(order.secret), bans=bans)

    wishes = msgspec.json.Decoder(Reload | Ban | Lift)

    class Orders(LineOnlyReceiver):
        """What the service says."""

        delimiter = b"\n"
        MAX_LENGTH = MAX_WISH

        def lineReceived(self, line: bytes) -> None:
            """Do it."""
            wish = wishes.decode(line)
            if isinstance(wish, Reload):
                server.reload(wish.zone, forced=wish.forced)
            else:
                bans.do(wish)

        def connectionLost(self, reason: object = None) -> None:  # noqa: ARG002 - Twisted's
            """The service is gone."""
            if reactor.running:
                reactor.stop()

    sockets = [socket.socket(fileno=FIRST_FD + place) for place in range(order.datagrams + order.streams)]
    server.adopt(sockets[: order.datagrams], sockets[order.datagrams :])
    orders = Orders()
    StandardIO(orders, reactor=reactor)
    server.start()

    def tell() -> None:
        orders.sendLine(msgspec.json.encode(server.snapshot()))  # type: ignore[no-untyped-call]

    LoopingCall(tell).start(1.0)


if __name__ == "__main__":
    main()
