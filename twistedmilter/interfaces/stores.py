"""State behind narrow interfaces."""

from __future__ import annotations

from zope.interface import Interface

from twistedmilter.model.record import Record


class IDecisionLog(Interface):
    """Keeps the records of transactions."""

    def append(record: Record) -> None:
        """Keep one record; a test record is not kept."""

    async def find(reference: str) -> Record | None:
        """The record with our id or the MTA's queue id; None if there is none."""
