"""Proving who one is to a peer: an extension of GOSSiP that is spoken only where a key was agreed.

The client says C{H:name:nonce}, the server answers C{HELLO X-GOSSiP: nonce,proof}.  From then on each request ends in a
field more, a tag, which a server without the extension would not look at; and each answer with words in a word more.
Tags are HMAC-SHA256, cut to 128 bits, by a key that is made of both nonces, over the direction, the number of the
request on this connection, and the line: nothing can be replayed, moved, changed or sent back.
"""

from __future__ import annotations

import re
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from twistedmilter.errors import ProtocolViolation
from twistedmilter.wire.umis import OCTETS, umis_of

NAME: Final = r"[A-Za-z0-9._-]{1,64}"
_NONCE: Final = r"[A-Za-z0-9.$]{22}"
_HELLO: Final = re.compile(rf"H:({NAME}):({_NONCE})".encode())
_WELCOME: Final = re.compile(rf"HELLO X-GOSSiP: ({_NONCE}),({_NONCE})".encode())


class KeyedSession:
    """One connection whose two ends have the same key.

    @param key: the shared one. @param name: of the client. @param client: its nonce. @param server: the other's.
    """

    __slots__ = ("_key", "proof")

    def __init__(self, key: bytes, name: str, client: str, server: str) -> None:
        words = f"GOSSiP 1 {name} {client} {server}".encode("ascii")
        self._key = digest(key, words, sha256)
        self.proof = self._tag(b"hello", 0, b"")

    def seal_request(self, number: int, line: bytes) -> bytes:
        """A request with its tag. @param number: of it on this connection, from 1."""
        return line + b":" + self._tag(b"C", number, line)

    def open_request(self, number: int, line: bytes) -> bytes:
        """The request without its tag.

        @raise ProtocolViolation: the tag is not right.
        """
        return self._opened(b"C", number, line, b":")

    def seal_answer(self, number: int, line: bytes) -> bytes:
        """An answer with its tag. @param number: of the request."""
        return line + b" " + self._tag(b"S", number, line)

    def open_answer(self, number: int, line: bytes) -> bytes:
        """The answer without its tag.

        @raise ProtocolViolation: the tag is not right.
        """
        return self._opened(b"S", number, line, b" ")

    def _opened(self, direction: bytes, number: int, line: bytes, separator: bytes) -> bytes:
        body, _, tag = line.rpartition(separator)
        if not compare_digest(tag, self._tag(direction, number, body)):
            raise ProtocolViolation("a line whose tag is not right")
        return body

    def _tag(self, direction: bytes, number: int, line: bytes) -> bytes:
        mac = digest(self._key, b"%s %d %s" % (direction, number, line), sha256)
        return umis_of(mac[:OCTETS]).encode("ascii")


def encode_hello(name: str, nonce: str) -> bytes:
    """The first line of a client. @param nonce: 22 characters, as of a UMIS, never used before."""
    return f"H:{name}:{nonce}\n\n".encode("ascii")


def parse_hello(line: bytes) -> tuple[str, str] | None:
    """The name and the nonce; None if it is none."""
    match = _HELLO.fullmatch(line)
    return (match[1].decode("ascii"), match[2].decode("ascii")) if match is not None else None


def encode_welcome(nonce: str, session: KeyedSession) -> bytes:
    """The server's answer to it."""
    return b"HELLO X-GOSSiP: " + nonce.encode("ascii") + b"," + session.proof + b"\n\n"


def welcomed(line: bytes, key: bytes, name: str, nonce: str) -> KeyedSession:
    """The session that a server's answer begins.

    @param name: ours. @param nonce: ours.
    @raise ProtocolViolation: it does not have the key.
    """
    match = _WELCOME.fullmatch(line)
    if match is None:
        raise ProtocolViolation("no welcome")
    session = KeyedSession(key, name, nonce, match[1].decode("ascii"))
    if not compare_digest(session.proof, match[2]):
        raise ProtocolViolation("a welcome of somebody without the key")
    return session
