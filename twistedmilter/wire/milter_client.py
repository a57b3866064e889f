"""The MTA's side of a milter connection: for scans, replays and tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final

from twistedmilter.errors import LocalProtocolError, ProtocolViolation
from twistedmilter.wire import letters
from twistedmilter.wire.flags import (
    ALL_ACTIONS,
    ALL_PROTOCOL,
    NOT_ANSWERED,
    NOT_SENT,
    VERSION,
    MacroStage,
    ProtocolFlag,
)
from twistedmilter.wire.frames import MAX_PAYLOAD, encode_frame
from twistedmilter.wire.parsed_replies import Agreement
from twistedmilter.wire.reply_account import MAX_REPLY_FRAME, ReplyAccount

_WORDS: Final = Struct(">III")
_PORT: Final = Struct(">H")

_MACRO_STAGES: Final = {
    letters.CONNECT: MacroStage.CONNECT,
    letters.HELO: MacroStage.HELO,
    letters.MAIL: MacroStage.MAIL,
    letters.RCPT: MacroStage.RCPT,
    letters.DATA: MacroStage.DATA,
    letters.HEADER: MacroStage.EOH,
    letters.END_OF_HEADERS: MacroStage.EOH,
    letters.BODY: MacroStage.EOM,
    letters.END_OF_MESSAGE: MacroStage.EOM,
}


class MilterClient(ReplyAccount):
    """One milter connection, from the MTA's side.

    Each method named after a command returns the octets to send, empty where the filter asked not to get
    it; what comes back is read as L{ReplyAccount} says.
    """

    def __init__(
        self,
        version: int = VERSION,
        actions: int = ALL_ACTIONS,
        protocol: int = ALL_PROTOCOL,
        *,
        strict: bool = True,
        max_frame: int = MAX_REPLY_FRAME,
    ) -> None:
        """Prepare an offer.

        @param max_frame: the largest length word allowed in replies. [octets]
        """
        super().__init__((version, int(actions), int(protocol)), strict=strict, max_frame=max_frame)

    def negotiate(self) -> bytes:
        """The offer."""
        self._owed.append(letters.OPTNEG)
        self._last = letters.OPTNEG
        return encode_frame(letters.OPTNEG, _WORDS.pack(*self._offer))

    def macros(self, command: int, values: Mapping[str, str | bytes]) -> bytes:
        """The macros for a command; of a list that the filter gave, only what is on it.

        @param command: the letter of the command that follows.
        @param values: names with or without braces.
        """
        wanted = self._wanted_macros(command)
        payload = bytes([command])
        for name, value in values.items():
            bare = name.strip("{}")
            if wanted is None or bare in wanted:
                payload += (bare if len(bare) == 1 else "{" + bare + "}").encode("ascii") + b"\0"
                payload += _octets(value) + b"\0"
        return encode_frame(letters.MACRO, payload)

    def _wanted_macros(self, command: int) -> tuple[str, ...] | None:
        stage = _MACRO_STAGES.get(command)
        return None if self.agreement is None or stage is None else self.agreement.macros.get(stage)

    def connect(self, host: str | bytes, family: str = "U", port: int = 0, address: str | bytes = b"") -> bytes:
        """The SMTP client; family C{U}, C{L}, C{4} or C{6}."""
        payload = _octets(host) + b"\0" + family.encode("ascii")
        if family != "U":
            payload += _PORT.pack(port) + _octets(address) + b"\0"
        return self._command(letters.CONNECT, payload)

    def helo(self, name: str | bytes) -> bytes:
        """HELO or EHLO."""
        return self._command(letters.HELO, _strings(name))

    def mail(self, path: str | bytes, arguments: Iterable[str | bytes] = ()) -> bytes:
        """MAIL, the path with its brackets."""
        self._forget_message()
        self._skipping = False
        return self._command(letters.MAIL, _strings(path, *arguments))

    def rcpt(self, path: str | bytes, arguments: Iterable[str | bytes] = ()) -> bytes:
        """RCPT, the path with its brackets."""
        return self._command(letters.RCPT, _strings(path, *arguments))

    def data(self) -> bytes:
        """DATA; not sent before protocol version 4."""
        return self._command(letters.DATA) if self._agreed().version >= 4 else b""

    def unknown(self, line: str | bytes) -> bytes:
        """An unknown SMTP command; not sent before protocol version 3."""
        return self._command(letters.UNKNOWN, _strings(line)) if self._agreed().version >= 3 else b""

    def header(self, name: str | bytes, value: str | bytes) -> bytes:
        """One header field; the blank after the colon goes along only with HDR_LEADSPC.

        @param value: what follows the colon, folds as LF and white space.
        """
        octets = _octets(value)
        if not self._has(ProtocolFlag.HDR_LEADSPC):
            octets = octets.removeprefix(b" ")
        return self._command(letters.HEADER, _strings(name, octets))

    def end_of_headers(self) -> bytes:
        """The end of the header section."""
        return self._command(letters.END_OF_HEADERS)

    def body(self, octets: bytes) -> bytes:
        """Some of the body in frames of at most 65,535 octets; nothing after the filter answered SKIP.

        Each frame owes an answer: a caller that must stop at one, as MTAs do, gives no more than a chunk.
        """
        chunks = (octets[start : start + MAX_PAYLOAD] for start in range(0, len(octets), MAX_PAYLOAD))
        return b"" if self._skipping else b"".join(self._command(letters.BODY, chunk) for chunk in chunks)

    def end_of_message(self, octets: bytes = b"") -> bytes:
        """The end of the message, with or without the last of its body."""
        self._forget_message()
        return self._command(letters.END_OF_MESSAGE, octets)

    def abort(self) -> bytes:
        """The message is given up."""
        self._forget_message()
        return self._command(letters.ABORT)

    def quit(self) -> bytes:
        """The end of the connection."""
        return self._command(letters.QUIT)

    def quit_nc(self) -> bytes:
        """The end of the SMTP session; the connection is used again."""
        return self._command(letters.QUIT_NEW_CONNECTION)

    def _command(self, letter: int, payload: bytes = b"") -> bytes:
        """The frame of a command, and its entry in the account.

        @raise ProtocolViolation: octets of the filter came that answer nothing (row 78).
        @raise LocalProtocolError: negotiation is not over.
        """
        protocol = self._agreed().protocol
        if self._decoder.buffered and not self._owed:
            raise ProtocolViolation(
                f"surplus reply before {letters.command_name(letter)}: nothing was owed"
                f" after {letters.command_name(self._last)}"
            )
        if protocol & NOT_SENT.get(letter, 0):
            return b""
        self._last = letter
        if letter in letters.ANSWERABLE and not protocol & NOT_ANSWERED.get(letter, 0):
            self._owed.append(letter)
        return encode_frame(letter, payload)

    def _agreed(self) -> Agreement:
        if self.agreement is None:
            raise LocalProtocolError("commands are legal only after negotiation")
        return self.agreement


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def _strings(*texts: str | bytes) -> bytes:
    """NUL-terminated strings.

    @raise ValueError: a NUL inside one.
    """
    strings = [_octets(text) for text in texts]
    if any(b"\0" in string for string in strings):
        raise ValueError("a string with a NUL cannot be sent")
    return b"".join(string + b"\0" for string in strings)
