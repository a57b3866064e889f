"""Addresses that come back to us: signed so that nobody else can have made them up."""

from __future__ import annotations

from zope.interface import Interface


class IAddressSigner(Interface):
    """Makes tokens for addresses and knows its own again."""

    def sign(address: str, now: float) -> str:
        """A token for an address: letters, digits and hyphens, fit for a Message-ID; capitals do not matter.

        @param now: wall clock, in seconds since the epoch.
        """

    def find(text: str, now: float) -> str | None:
        """The address of the first valid token in a text; None without one.

        @param text: foreign text, folded or not.
        """
