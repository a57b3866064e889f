"""Option negotiation: from what the filter wants and the MTA offers to what holds (milter-spec 2.4, 2.6, 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from struct import Struct
from types import MappingProxyType
from typing import Final

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire import letters
from twistedmilter.wire.flags import (
    ALL_ACTIONS,
    DEFAULT_ACTIONS,
    DEFAULT_PROTOCOL,
    NO_ACTIONS,
    NOT_ANSWERED,
    NOT_SENT,
    OLDEST_VERSION,
    VERSION,
    Action,
    MacroStage,
    ProtocolFlag,
)
from twistedmilter.wire.frames import encode_frame

MAX_MACROS: Final = 50  # of one stage; one more and sendmail stops accepting mail

_WORDS: Final = Struct(">III")
_STAGE: Final = Struct(">I")
_LONG_NAME: Final = re.compile(r"[A-Za-z0-9_]{2,}")
_SHORT_NAME: Final = re.compile(r"[A-Za-z_]")


def _clean_macro(name: str) -> str:
    """The name as it goes on the wire: one character bare, longer ones in braces.

    @raise ValueError: not a macro name.
    """
    bare = name[1:-1] if name.startswith("{") and name.endswith("}") else name
    if _SHORT_NAME.fullmatch(bare):
        return bare
    if _LONG_NAME.fullmatch(bare):
        return "{" + bare + "}"
    raise ValueError(f"{name!r} is not a macro name")


def _clean_macros(macros: Mapping[MacroStage, tuple[str, ...]]) -> Mapping[MacroStage, tuple[str, ...]]:
    """The lists without repetition, those of EOM and EOH alike: sendmail gets one wrong without the other.

    @raise ValueError: a name that is none, or more than L{MAX_MACROS} of a stage.
    """
    clean = {MacroStage(stage): tuple(dict.fromkeys(map(_clean_macro, names))) for stage, names in macros.items()}
    if MacroStage.EOM in clean or MacroStage.EOH in clean:
        both = tuple(dict.fromkeys([*clean.get(MacroStage.EOM, ()), *clean.get(MacroStage.EOH, ())]))
        clean |= {MacroStage.EOM: both, MacroStage.EOH: both}
    for stage, names in clean.items():
        if len(names) > MAX_MACROS:
            raise ValueError(f"{len(names)} macros at stage {stage.name}, allowed {MAX_MACROS}")
    return MappingProxyType(dict(sorted(clean.items())))


@dataclass(frozen=True)
class Wants:
    """What a filter wants of an MTA.

    @ivar needed: command letters wanted as events, e.g. C{frozenset(b"CHMRLNB")}; END-OF-MESSAGE always is.
    @ivar answered: command letters at which the filter wants to speak; END-OF-MESSAGE always is.
    @ivar actions: what it would do at end of message.
    @ivar required: without which of these actions it cannot work.
    @ivar skip: it would like to end the body early.
    @ivar rejected_recipients: it wants to see recipients that the MTA refuses.
    @ivar leading_space: it wants header values with their leading blanks.
    @ivar macros: names wanted instead of the MTA's default list, by stage; an unlisted stage keeps its defaults.
    @raise ValueError: macro names that are none, or more than 50 at a stage.
    """

    needed: frozenset[int] = letters.ANSWERABLE
    answered: frozenset[int] = letters.ANSWERABLE
    actions: Action = NO_ACTIONS
    required: Action = NO_ACTIONS
    skip: bool = False
    rejected_recipients: bool = False
    leading_space: bool = False
    macros: Mapping[MacroStage, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the letters and the macro names, add what always is."""
        if unknown := (self.needed | self.answered) - letters.ANSWERABLE:
            raise ValueError(f"not answerable commands: {sorted(unknown, key=str)}")
        always = {letters.END_OF_MESSAGE}
        object.__setattr__(self, "answered", (self.answered | always) & (self.needed | always))
        object.__setattr__(self, "needed", self.needed | always)
        object.__setattr__(self, "actions", self.actions | self.required)
        object.__setattr__(self, "macros", _clean_macros(self.macros))

    def __hash__(self) -> int:
        """Cheap, and good enough to tell the listeners of one process apart."""
        return hash((self.needed, self.answered, int(self.actions)))


@dataclass(frozen=True)
class Granted:
    """What holds for a connection.

    @ivar macros: the lists that are sent, empty where the MTA takes none.
    """

    version: int
    actions: Action
    protocol: ProtocolFlag
    macros: Mapping[MacroStage, tuple[str, ...]] = field(default_factory=dict)

    @property
    def frame(self) -> bytes:
        """The answer to the offer, as a frame."""
        lists = b"".join(
            _STAGE.pack(stage) + " ".join(names).encode("ascii") + b"\0" for stage, names in self.macros.items()
        )
        return encode_frame(letters.OPTNEG, _WORDS.pack(self.version, self.actions, self.protocol) + lists)


def _protocol(wants: Wants, offer: int) -> ProtocolFlag:
    """The steps to leave out, then the answers to leave out of the remaining steps, then the extras."""
    protocol = ProtocolFlag(0)
    for letter, not_sent in NOT_SENT.items():
        if letter not in wants.needed and offer & not_sent:
            protocol |= not_sent
        elif letter not in wants.answered:
            protocol |= NOT_ANSWERED[letter]
    if wants.skip:
        protocol |= ProtocolFlag.SKIP
    if wants.rejected_recipients:
        protocol |= ProtocolFlag.RCPT_REJ
    if wants.leading_space:
        protocol |= ProtocolFlag.HDR_LEADSPC
    return ProtocolFlag(protocol & offer)


def negotiate(wants: Wants, offer_version: int, offer_actions: int, offer_protocol: int) -> Granted:
    """What to answer: never a bit that was not offered, never a version above ours.

    @raise ProtocolViolation: a version below 2 (also one that is negative when signed, as libmilter
        reads it), or an action that is required and not offered.
    """
    if not OLDEST_VERSION <= offer_version < 0x80000000:
        raise ProtocolViolation(f"OPTNEG offers protocol version {offer_version}, at least {OLDEST_VERSION} is needed")
    offered = Action((offer_actions or DEFAULT_ACTIONS) & ALL_ACTIONS)
    if missing := wants.required & ~offered:
        raise ProtocolViolation(f"OPTNEG does not offer required actions 0x{int(missing):x}")
    actions = wants.actions & offered
    macros: Mapping[MacroStage, tuple[str, ...]] = {}
    if wants.macros and Action.SETSYMLIST in offered:
        actions |= Action.SETSYMLIST
        macros = wants.macros
    return Granted(min(VERSION, offer_version), actions, _protocol(wants, offer_protocol or DEFAULT_PROTOCOL), macros)
