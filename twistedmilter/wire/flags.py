"""The numbers of option negotiation: versions, actions, protocol steps, macro stages (milter-spec 2)."""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Final

from twistedmilter.wire import letters

VERSION: Final = 6
OLDEST_VERSION: Final = 2
DEFAULT_ACTIONS: Final = 0x0F  # an offer of 0 means this, as in libmilter
DEFAULT_PROTOCOL: Final = 0x3F


class Action(IntFlag):
    """What a filter may do at end of message (SMFIF_*)."""

    ADDHDRS = 0x001
    CHGBODY = 0x002
    ADDRCPT = 0x004
    DELRCPT = 0x008
    CHGHDRS = 0x010
    QUARANTINE = 0x020
    CHGFROM = 0x040
    ADDRCPT_PAR = 0x080
    SETSYMLIST = 0x100


NO_ACTIONS: Final = Action(0)
ALL_ACTIONS: Final = Action(0x1FF)


class ProtocolFlag(IntFlag):
    """What an MTA need not send (NO*), need not wait for (NR_*) or may do besides (SMFIP_*)."""

    NOCONNECT = 0x1
    NOHELO = 0x2
    NOMAIL = 0x4
    NORCPT = 0x8
    NOBODY = 0x10
    NOHDRS = 0x20
    NOEOH = 0x40
    NR_HDR = 0x80
    NOUNKNOWN = 0x100
    NODATA = 0x200
    SKIP = 0x400
    RCPT_REJ = 0x800
    NR_CONN = 0x1000
    NR_HELO = 0x2000
    NR_MAIL = 0x4000
    NR_RCPT = 0x8000
    NR_DATA = 0x10000
    NR_UNKN = 0x20000
    NR_EOH = 0x40000
    NR_BODY = 0x80000
    HDR_LEADSPC = 0x100000
    MDS_256K = 0x10000000
    MDS_1M = 0x20000000


ALL_PROTOCOL: Final = ProtocolFlag(0x1FFFFF)  # without MDS, which stock MTAs refuse


class MacroStage(IntEnum):
    """Where a list of wanted macros applies; EOM sorts before EOH (milter-spec 2.6)."""

    CONNECT = 0
    HELO = 1
    MAIL = 2
    RCPT = 3
    DATA = 4
    EOM = 5
    EOH = 6


NOT_SENT: Final = {
    letters.CONNECT: ProtocolFlag.NOCONNECT,
    letters.HELO: ProtocolFlag.NOHELO,
    letters.MAIL: ProtocolFlag.NOMAIL,
    letters.RCPT: ProtocolFlag.NORCPT,
    letters.DATA: ProtocolFlag.NODATA,
    letters.UNKNOWN: ProtocolFlag.NOUNKNOWN,
    letters.HEADER: ProtocolFlag.NOHDRS,
    letters.END_OF_HEADERS: ProtocolFlag.NOEOH,
    letters.BODY: ProtocolFlag.NOBODY,
}
"""The flag that switches a command off; there is none for END-OF-MESSAGE."""

NOT_ANSWERED: Final = {
    letters.CONNECT: ProtocolFlag.NR_CONN,
    letters.HELO: ProtocolFlag.NR_HELO,
    letters.MAIL: ProtocolFlag.NR_MAIL,
    letters.RCPT: ProtocolFlag.NR_RCPT,
    letters.DATA: ProtocolFlag.NR_DATA,
    letters.UNKNOWN: ProtocolFlag.NR_UNKN,
    letters.HEADER: ProtocolFlag.NR_HDR,
    letters.END_OF_HEADERS: ProtocolFlag.NR_EOH,
    letters.BODY: ProtocolFlag.NR_BODY,
}
"""The flag that makes an MTA go on without reading an answer."""
