"""The steps of one SMTP session at which a check may be asked."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    """When something was asked or decided; the value is the word in logs and records."""

    CONNECT = "connect"
    HELO = "helo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    HEADERS = "headers"  # the end of the header section
    BODY = "body"
    END_OF_MESSAGE = "end-of-message"


class Role(StrEnum):
    """What a listener is for; decides which checks apply to a session (see docs/listeners)."""

    INBOUND = "inbound"
    SUBMISSION = "submission"
    REINJECTION = "reinjection"


class ClientClass(StrEnum):
    """How far the SMTP client is ours (seed-spec B02, B04, D03)."""

    EXTERNAL = "external"
    INTERNAL = "internal"
    TRUSTED_RELAY = "trusted-relay"
    AUTHENTICATED = "authenticated"
