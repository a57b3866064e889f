"""The reputation of senders as a part of the service: the node, its peers and its listeners, by the configuration."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistedmilter.errors import ConfigError, ConfigProblem, TemporaryFailure
from twistedmilter.gossip import GossipServerFactory, ServerLimits
from twistedmilter.gossip_node import Node, NodeLimits
from twistedmilter.gossip_patience import PeerPatience, PeerSpec
from twistedmilter.gossip_peers import Peer, PeerGroup
from twistedmilter.gossip_remote import RemoteReputation
from twistedmilter.interfaces.reputation import IObservationStore, IReputation
from twistedmilter.interfaces.stores import IStores
from twistedmilter.listening import Listeners
from twistedmilter.model.gossip_settings import GossipSettings, parse_address, peer_entry, peer_name
from twistedmilter.policy.networks import NetworkSet
from twistedmilter.reputation.decision import Thresholds
from twistedmilter.reputation.peers import PeerLimits
from twistedmilter.reputation_commands import ReputationCommands
from twistedmilter.secret_files import SecretFileError, read_secrets

DAY = 86_400.0


class GossipFace:
    """Everything that has to do with reputation in one process.

    @ivar node: what is known here. @ivar reputation: what the service itself asks: that, or another server.
    @ivar commands: what the administrator may ask of it.
    """

    _log = Logger()

    def __init__(
        self,
        settings: GossipSettings,
        stores: IStores,
        reactor: Any,
        wall: Callable[[], float],
        random_octets: Callable[[int], bytes],
        *,
        base_dir: Path,
        source: str = "configuration",
    ) -> None:
        """Read the keys; nothing is opened.

        @param wall: seconds since the epoch. @param source: of the settings, for errors.
        @raise ConfigError: a key that cannot be used.
        """
        self._settings = settings
        self._base_dir = base_dir
        self._source = source
        self._keys: dict[str, bytes] = {}
        self.peers = PeerGroup.of(list(self._specs()), reactor, PeerPatience(budget=settings.budget))
        limits = limits_of(settings)
        store: IObservationStore = stores.observations
        self.node = Node(store, self.peers, wall, random_octets, limits, questions=stores.questions)
        self._server: RemoteReputation | None = None
        if settings.server:
            place = parse_address(settings.server)
            server = Peer(PeerSpec("server", place.host, place.port), reactor, PeerPatience(budget=settings.budget))
            self._server = RemoteReputation(server, random_octets, limits.thresholds, settings.ttl)
        self.reputation: IReputation = self._server or self.node
        self.commands = ReputationCommands(store, wall, limits.thresholds, self.node).commands
        self._factory = GossipServerFactory(
            self.node,
            reactor,
            limits=ServerLimits(settings.max_connections, settings.idle_timeout, settings.rate, settings.burst),
            allowed=NetworkSet.parse(settings.allow_query),
            keys=self._keys,
        )

    def _specs(self) -> Iterator[PeerSpec]:
        """Those that are asked; the keys of all are read meanwhile."""
        ours = self._settings.name or os.uname().nodename
        for index, entry in enumerate(self._settings.peers):
            peer = peer_entry(entry)
            name = peer_name(peer)
            key = self._key(index, peer.key_file) if peer.key_file else b""
            if key:
                self._keys[name] = key
            if peer.address:
                place = parse_address(peer.address)
                yield PeerSpec(name, place.host, place.port, key, ours)

    def _key(self, index: int, file: str) -> bytes:
        try:
            return read_secrets(self._base_dir / file).secrets[0].octets
        except (SecretFileError, OSError) as error:
            wrong = "it is not there" if isinstance(error, FileNotFoundError) else str(error)
            where = f"gossip.peers[{index}].key_file"
            raise ConfigError(self._source, [ConfigProblem(where, f"{file}: {wrong}")]) from error

    def open(self, listeners: Listeners, *, is_root: bool) -> None:
        """Listen, where that is configured.

        @raise ConfigError: it cannot be opened.
        """
        for index, text in enumerate(self._settings.listen):
            spec, key = parse_address(text), f"gossip.listen[{index}]"
            if is_root and not spec.is_loopback:
                wrong = f"{spec} is not opened as root"
                raise ConfigError(self._source, [ConfigProblem(key, wrong, "run as a user of its own")])
            listeners.open(key, spec, self._factory)
            self._log.info("reputation on {spec}", spec=str(spec))

    def start(self) -> None:
        """Learn what was asked before, when the stores are open."""
        Deferred.fromCoroutine(self.node.remember()).addErrback(self._not_remembered)

    def _not_remembered(self, failure: Failure) -> None:
        failure.trap(TemporaryFailure)
        self._log.warn("what was asked before the start is not known: {why}", why=failure.getErrorMessage())

    def stop(self) -> None:
        """Close all connections."""
        self.peers.close()
        if self._server is not None:
            self._server.close()
        for client in list(self._factory.clients):
            client.close()

    def snapshot(self) -> dict[str, object]:
        """What C{twistedmilter status} shows; nothing while it is off."""
        if not self._settings.listen and not self.peers:
            return {}
        peers = {peer.spec.name: "asked" if peer.is_asked else "left alone" for peer in self.peers.peers}
        return {"gossip": {"connections": len(self._factory.clients), "peers": peers}}


def limits_of(settings: GossipSettings) -> NodeLimits:
    """What a node goes by."""
    return NodeLimits(
        thresholds=Thresholds(settings.bad_reputation, settings.bad_confidence, settings.silence),
        peers=PeerLimits(settings.silence, settings.peer_share, settings.peers_share),
        ttl=settings.ttl,
        pending=settings.pending,
        lifetime=settings.pending_days * DAY,
    )
