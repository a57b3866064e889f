"""Many datagrams with one system call each way: recvmmsg(2) and sendmmsg(2) of Linux.

The kernel's two calls for each datagram, and Python's turning of addresses into text and back, are most of what an
answer from memory costs.  Here addresses stay as the kernel gives them, in buffers that are made once.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
from collections.abc import Callable
from typing import Any, Final

PER_TURN: Final = 32  # datagrams, about half a millisecond of work; then others have their turn
QUERY_ROOM: Final = 1_024  # octets of a datagram; the rest is cut off, which leaves more than a query may have
ANSWER_ROOM: Final = 1_280  # octets; more than any answer over UDP has
_FAMILIES: Final = {socket.AF_INET: (16, 4, 8), socket.AF_INET6: (28, 8, 24)}  # sockaddr: size, address from and to

Answer = Callable[[bytes, bytes], bytes | None]


class _IOVec(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _Message(ctypes.Structure):
    """struct msghdr of recvmsg(2)."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Header(ctypes.Structure):
    """struct mmsghdr of recvmmsg(2)."""

    _fields_ = (("message", _Message), ("length", ctypes.c_uint))


_Vectors = _IOVec * PER_TURN
_Headers = _Header * PER_TURN
_LENGTH: Final = (ctypes.sizeof(_Header) // 4, _Header.length.offset // 4)  # stride and place, in words of 4 octets


def _address_of(buffer: bytearray) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))


def is_possible() -> bool:
    """Whether this system has the calls."""
    library = ctypes.PyDLL(None)
    return hasattr(library, "recvmmsg") and hasattr(library, "sendmmsg")


class Batches:
    """Receives at one socket, and sends.

    @param opened: a UDP socket that does not block.
    """

    def __init__(self, opened: socket.socket) -> None:
        self._descriptor = opened.fileno()
        self._name_size, self._from, self._to = _FAMILIES[opened.family]
        queries, names = bytearray(PER_TURN * QUERY_ROOM), bytearray(PER_TURN * self._name_size)
        answers = bytearray(PER_TURN * ANSWER_ROOM)
        self._queries, self._names, self._answers = memoryview(queries), memoryview(names), memoryview(answers)
        self._received, self._vectors_in = self._headers(queries, QUERY_ROOM, names)
        self._sent, self._vectors_out = self._headers(answers, ANSWER_ROOM, names)
        self._lengths = memoryview(self._received).cast("B").cast("I")
        self._answer_lengths = memoryview(self._vectors_out).cast("B").cast("L")
        # PyDLL keeps the interpreter's lock, as these calls do not wait
        library: Any = ctypes.PyDLL(None, use_errno=True)
        self._receive, self._send = library.recvmmsg, library.sendmmsg
        number, pointer = ctypes.c_int, ctypes.c_void_p
        self._receive.argtypes = (number, pointer, ctypes.c_uint, number, pointer)
        self._send.argtypes = (number, pointer, ctypes.c_uint, number)

    def _headers(self, data: bytearray, room: int, names: bytearray) -> tuple[Any, Any]:
        """Headers and vectors that point into buffers; both have to be kept."""
        headers, vectors = _Headers(), _Vectors()
        data_at, names_at, vectors_at = _address_of(data), _address_of(names), ctypes.addressof(vectors)
        for number in range(PER_TURN):
            vectors[number] = _IOVec(data_at + number * room, room)
            vector = vectors_at + number * ctypes.sizeof(_IOVec)
            headers[number] = _Header(_Message(names_at + number * self._name_size, self._name_size, vector, 1))
        return headers, vectors

    def turn(self, answer: Answer) -> int:
        """Answer what is there, up to L{PER_TURN} datagrams; how many answers could not be sent.

        @param answer: from a datagram and the address that it came from, 4 or 16 octets; must not raise.
        @raise OSError: nothing can be received; C{BlockingIOError} if nothing is there.
        """
        count = self._receive(self._descriptor, ctypes.addressof(self._received), PER_TURN, socket.MSG_DONTWAIT, None)
        if count < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        queries, names, answers = self._queries, self._names, self._answers
        size, begin, end = self._name_size, self._from, self._to
        stride, place = _LENGTH
        to_send = too_long = 0
        for number in range(count):
            at, name = number * QUERY_ROOM, number * size
            query = bytes(queries[at : at + self._lengths[number * stride + place]])
            response = answer(query, bytes(names[name + begin : name + end]))
            if response is None or len(response) > ANSWER_ROOM:
                too_long += response is not None
                continue
            if number != to_send:
                names[to_send * size : (to_send + 1) * size] = names[name : name + size]
            length = len(response)
            answers[to_send * ANSWER_ROOM : to_send * ANSWER_ROOM + length] = response
            self._answer_lengths[2 * to_send + 1] = length
            to_send += 1
        return self._send_all(to_send) + too_long

    def _send_all(self, count: int) -> int:
        """Send the first answers; one that the kernel does not take is passed over."""
        done = unsent = 0
        while done < count:
            headers = ctypes.addressof(self._sent) + done * ctypes.sizeof(_Header)
            sent = self._send(self._descriptor, headers, count - done, socket.MSG_DONTWAIT)
            if sent > 0:
                done += sent
            elif ctypes.get_errno() != errno.EINTR:
                done, unsent = done + 1, unsent + 1
        return unsent
