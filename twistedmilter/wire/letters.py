"""The command bytes of the milter protocol (milter-spec 1.3 and 1.4).

Plain integers, because the first octet of a C{bytes} is one and every dispatch table is keyed by it.
"""

from __future__ import annotations

from typing import Final

# commands, from the MTA
OPTNEG: Final = ord("O")
MACRO: Final = ord("D")
CONNECT: Final = ord("C")
HELO: Final = ord("H")
MAIL: Final = ord("M")
RCPT: Final = ord("R")
DATA: Final = ord("T")
UNKNOWN: Final = ord("U")
HEADER: Final = ord("L")
END_OF_HEADERS: Final = ord("N")
BODY: Final = ord("B")
END_OF_MESSAGE: Final = ord("E")
ABORT: Final = ord("A")
QUIT: Final = ord("Q")
QUIT_NEW_CONNECTION: Final = ord("K")

# replies, from the filter
CONTINUE: Final = ord("c")
ACCEPT: Final = ord("a")
REJECT: Final = ord("r")
TEMPFAIL: Final = ord("t")
DISCARD: Final = ord("d")
SKIP: Final = ord("s")
REPLY_CODE: Final = ord("y")
PROGRESS: Final = ord("p")
ADD_HEADER: Final = ord("h")
INSERT_HEADER: Final = ord("i")
CHANGE_HEADER: Final = ord("m")
REPLACE_BODY: Final = ord("b")
ADD_RECIPIENT: Final = ord("+")
ADD_RECIPIENT_WITH_ARGUMENTS: Final = ord("2")
DELETE_RECIPIENT: Final = ord("-")
CHANGE_SENDER: Final = ord("e")
QUARANTINE: Final = ord("q")
SHUTDOWN: Final = ord("4")  # MTA-internal; loses mail in Postfix: never sent
CONNECTION_FAILED: Final = ord("f")  # never sent

ANSWERABLE: Final = frozenset(b"CHMRTULNBE")
"""Commands that get exactly one answer unless its NR flag was granted."""

COMMAND_NAMES: Final = {
    OPTNEG: "OPTNEG",
    MACRO: "MACRO",
    CONNECT: "CONNECT",
    HELO: "HELO",
    MAIL: "MAIL",
    RCPT: "RCPT",
    DATA: "DATA",
    UNKNOWN: "UNKNOWN",
    HEADER: "HEADER",
    END_OF_HEADERS: "END-OF-HEADERS",
    BODY: "BODY",
    END_OF_MESSAGE: "END-OF-MESSAGE",
    ABORT: "ABORT",
    QUIT: "QUIT",
    QUIT_NEW_CONNECTION: "QUIT-NEW-CONNECTION",
}

REPLY_NAMES: Final = {
    OPTNEG: "OPTNEG",
    CONTINUE: "CONTINUE",
    ACCEPT: "ACCEPT",
    REJECT: "REJECT",
    TEMPFAIL: "TEMPFAIL",
    DISCARD: "DISCARD",
    SKIP: "SKIP",
    REPLY_CODE: "REPLY-CODE",
    PROGRESS: "PROGRESS",
    ADD_HEADER: "ADD-HEADER",
    INSERT_HEADER: "INSERT-HEADER",
    CHANGE_HEADER: "CHANGE-HEADER",
    REPLACE_BODY: "REPLACE-BODY",
    ADD_RECIPIENT: "ADD-RECIPIENT",
    ADD_RECIPIENT_WITH_ARGUMENTS: "ADD-RECIPIENT-WITH-ARGUMENTS",
    DELETE_RECIPIENT: "DELETE-RECIPIENT",
    CHANGE_SENDER: "CHANGE-SENDER",
    QUARANTINE: "QUARANTINE",
    SHUTDOWN: "SHUTDOWN",
    CONNECTION_FAILED: "CONNECTION-FAILED",
}


def command_name(letter: int) -> str:
    """The name of a command byte for log lines; a number in hex when it is none."""
    return COMMAND_NAMES.get(letter, f"command 0x{letter:02x}")


def reply_name(letter: int) -> str:
    """The name of a reply byte for log lines; a number in hex when it is none."""
    return REPLY_NAMES.get(letter, f"reply 0x{letter:02x}")
