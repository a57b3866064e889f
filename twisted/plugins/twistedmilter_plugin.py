"""Tells twistd that there is a service called twistedmilter; loads nothing else."""

from twisted.application.service import ServiceMaker

twistedmilter = ServiceMaker(
    "twistedmilter",
    "twistedmilter.tap",
    "Judge mail for sendmail and Postfix over the milter protocol.",
    "twistedmilter",
)
