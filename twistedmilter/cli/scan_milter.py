"""A scan through a running service: the MTA's side of the milter protocol over a blocking socket."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import MappingProxyType

from twistedmilter.cli.errors import CommandError
from twistedmilter.cli.scan_evidence import Evidence
from twistedmilter.cli.scan_message import Envelope, Message
from twistedmilter.cli.scan_result import ScanResult
from twistedmilter.errors import ConfigError, ProtocolViolation, TemporaryFailure
from twistedmilter.model.listen import LISTEN_FORMS, ListenSpec, SystemdListen, UnixListen, parse_listen
from twistedmilter.model.modification import Quarantine
from twistedmilter.wire import letters
from twistedmilter.wire.frames import encode_frame
from twistedmilter.wire.milter_client import MilterClient
from twistedmilter.wire.parsed_replies import ParsedReply

TEST_MACRO = "{twistedmilter_test}"  # the service believes it from its own user and root only
NAME_MACRO = "{twistedmilter_test_id}"  # under which the service keeps the record
PATIENCE = 90.0  # seconds for one answer; the service's own budget for a message is 60
CLOSING = 5.0  # seconds until the service has closed the connection after QUIT
CHUNK = 65_535  # octets of body in one frame

_WORDS: Mapping[int, str] = MappingProxyType(
    {
        letters.ACCEPT: "accept",
        letters.REJECT: "refuse",
        letters.TEMPFAIL: "tempfail",
        letters.DISCARD: "discard",
    }
)
_REFUSALS = frozenset({"refuse", "tempfail"})
_SILENT_REPLIES: Mapping[int, str] = MappingProxyType(
    {letters.REJECT: "550 5.7.1 Command rejected", letters.TEMPFAIL: "451 4.7.1 Service unavailable"}
)


@contextmanager
def milter_scan(
    text: str, control_path: Callable[[], str], tell: Callable[[str], None]
) -> Iterator[Callable[[Message, Envelope], ScanResult]]:
    """Scans through the service that listens at a spec; one connection a message.

    @param control_path: where the service tells what each check said; asked only where it can know.
    @param tell: takes one line for the user.
    @raise CommandError: it is no spec that one could connect to.
    """
    try:
        spec = parse_listen(text)
    except ValueError as error:
        raise CommandError(f"--milter {text}: {error}; allowed are {LISTEN_FORMS}") from error
    if isinstance(spec, SystemdListen):
        raise CommandError(f"--milter {text}: a name within systemd is no address to connect to")
    evidence = None
    if isinstance(spec, UnixListen):
        evidence = _evidence(control_path, tell)
    else:
        unknown = "it is logged and counted like other mail, and what each check said is in the log only"
        tell(f"over TCP {text} cannot know this as a test: {unknown}")
    yield lambda message, envelope: scan_through(spec, message, envelope, evidence)


def _evidence(control_path: Callable[[], str], tell: Callable[[str], None]) -> Evidence | None:
    try:
        return Evidence(control_path(), tell)
    except (CommandError, ConfigError, OSError) as error:  # the service judges all the same
        tell(f"what each check said is not known: {error}")
        return None


def scan_through(
    spec: ListenSpec, message: Message, envelope: Envelope, evidence: Evidence | None = None
) -> ScanResult:
    """What the service answers to a message.

    @param evidence: tells what each check said.
    @raise TemporaryFailure: it cannot be reached, or did not answer in time.
    @raise ProtocolViolation: it broke the milter protocol.
    """
    test_id = secrets.token_hex(16)
    try:
        with _connected(spec) as connection:
            result = MilterDialogue(connection, str(spec), test_id).scan(message, envelope)
    except OSError as error:
        raise TemporaryFailure(f"the milter at {spec}: {error.strerror or error}") from error
    except ProtocolViolation as violation:
        raise ProtocolViolation(f"the milter at {spec}: {violation.reason}", violation.offending) from violation
    return replace(result, record=evidence.of(message.label, test_id)) if evidence is not None else result


def _connected(spec: ListenSpec) -> socket.socket:
    if isinstance(spec, UnixListen):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(PATIENCE)
        try:
            connection.connect(spec.path)
        except OSError:
            connection.close()
            raise
        return connection
    assert not isinstance(spec, SystemdListen)
    return socket.create_connection((spec.host, spec.port), PATIENCE)


def _macros(command: int, values: Mapping[str, str]) -> bytes:
    """A list of macros for the next command, also of those that the filter did not ask for.

    @param values: names as they go on the wire: long ones in braces.
    """
    pairs = b"".join(f"{name}\0{value}\0".encode("utf-8", "surrogateescape") for name, value in values.items())
    return encode_frame(letters.MACRO, bytes([command]) + pairs)


def _word(reply: ParsedReply) -> str:
    if reply.letter == letters.REPLY_CODE:
        return "refuse" if reply.code >= 500 else "tempfail"
    return _WORDS.get(reply.letter, "continue")


def _text(reply: ParsedReply) -> str:
    """The reply as the SMTP client would see it; empty if the mail goes on."""
    if reply.letter != letters.REPLY_CODE:
        return _SILENT_REPLIES.get(reply.letter, "")
    status = f"{reply.status} " if reply.status else ""
    last = len(reply.lines) - 1
    return "\n".join(
        f"{reply.code}{' ' if index == last else '-'}{status}{line}" for index, line in enumerate(reply.lines)
    )


class MilterDialogue:
    """One connection to a filter, on which one message is shown.

    @param where: for the result.
    @param test_id: under which the filter, if it is ours, keeps its record.
    """

    def __init__(self, connection: socket.socket, where: str, test_id: str) -> None:
        self._connection = connection
        self._where = where
        self._test_id = test_id
        self._client = MilterClient(strict=False)
        self._reply = ""

    def scan(self, message: Message, envelope: Envelope) -> ScanResult:
        """Tell what an MTA would tell, until the filter has decided."""
        client = self._client
        self._ask(client.negotiate())
        recipients: list[tuple[str, str]] = []
        word = self._envelope(envelope, recipients)
        if word == "continue":
            word = self._content(message)
        changes = tuple(client.modifications) if word in {"continue", "accept"} else ()
        if word == "continue" and any(isinstance(change, Quarantine) for change in changes):
            word = "hold"
        self._leave()
        return ScanResult(
            message.label,
            envelope,
            word,
            self._reply if word in _REFUSALS else "",
            changes,
            recipients=tuple(recipients),
            milter=self._where,
        )

    def _envelope(self, envelope: Envelope, recipients: list[tuple[str, str]]) -> str:
        """CONNECT to the last RCPT; the word that stands then."""
        client = self._client
        for octets in self._opening(envelope):
            word = self._ask(octets)
            if word != "continue":
                return word
        recipients += [(address, self._ask(client.rcpt(_path(address)))) for address in envelope.recipients]
        words = [word for _address, word in recipients]
        return next((word for word in words if word not in _REFUSALS), words[-1])

    def _opening(self, envelope: Envelope) -> Iterator[bytes]:
        """CONNECT, HELO and MAIL, each made when the one before was answered."""
        client = self._client
        family = "6" if envelope.client_ip.version == 6 else "4"
        marks = {TEST_MACRO: "1", NAME_MACRO: self._test_id}
        yield _macros(letters.CONNECT, {"j": socket.gethostname(), "v": "twistedmilter scan", **marks})
        yield client.connect(envelope.client_name, family, 0, str(envelope.client_ip))
        yield client.helo(envelope.helo)
        if envelope.auth:
            yield _macros(letters.MAIL, {"{auth_authen}": envelope.auth, "{auth_type}": "PLAIN"})
        yield client.mail(_path(envelope.mail_from))

    def _content(self, message: Message) -> str:
        """DATA to the end of message; the word that stands then."""
        for octets in self._message(message):
            word = self._ask(octets)
            if word != "continue":
                return word
        return "continue"

    def _message(self, message: Message) -> Iterator[bytes]:
        """DATA, the message and its end, each frame made when the one before was answered."""
        client = self._client
        yield client.data()
        for name, value in message.fields:
            yield client.header(name, b" " + value)
        yield client.end_of_headers()
        for start in range(0, len(message.body), CHUNK):
            yield client.body(message.body[start : start + CHUNK])
        yield client.end_of_message()

    def _leave(self) -> None:
        """Say that it is over, and wait until the filter hangs up: then it has its record."""
        connection = self._connection
        connection.sendall(self._client.abort() + self._client.quit())
        connection.settimeout(CLOSING)
        with suppress(OSError):
            while connection.recv(CHUNK):
                pass

    def _ask(self, octets: bytes) -> str:
        """Send a command and wait for its answer, if it owes one; the word of the answer.

        @raise ProtocolViolation: the filter closed the connection, or said what makes no sense.
        """
        client = self._client
        self._connection.sendall(octets)
        word = "continue"
        while client.replies_owed:
            reply = client.next_reply()
            if reply is None:
                received = self._connection.recv(CHUNK)
                if not received:
                    client.receive_eof()
                client.receive_data(received)
            elif reply.is_verdict:
                word = _word(reply)
                self._reply = _text(reply)
        return word


def _path(address: str) -> str:
    return f"<{address.removeprefix('<').removesuffix('>')}>"
