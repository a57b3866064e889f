"""Notifications as commands: what C{twistedmilter dsn} asks of a service, or reads where none runs."""

from __future__ import annotations

from collections.abc import Mapping

from twistedmilter.control import Command, CommandError
from twistedmilter.interfaces.notices import INoticeStore, StoredNotice


class NoticeCommands:
    """The commands on the notifications of a service."""

    def __init__(self, notices: INoticeStore) -> None:
        """Nothing is read yet."""
        self._notices = notices
        self.commands: Mapping[str, Command] = {"dsn-waiting": self.waiting, "dsn-last": self.last}

    async def waiting(self, _arguments: Mapping[str, object]) -> object:
        """What waits, and what was sent last of each template; without their content."""
        return {
            "waiting": [_shown(each) for each in await self._notices.waiting()],
            "last": [_shown(each) for each in await self._notices.lasts()],
        }

    async def last(self, arguments: Mapping[str, object]) -> object:
        """The message that was sent last of C{template}.

        @raise CommandError: none was.
        """
        template = str(arguments.get("template", ""))
        notice = await self._notices.last(template)
        if notice is None:
            raise CommandError(f"no notification {template[:40]!r} was sent yet")
        return {**_shown(notice), "content": notice.content.decode("ascii", "replace")}


def _shown(notice: StoredNotice) -> dict[str, object]:
    return {
        "template": notice.template,
        "to": list(notice.addressees),
        "stored": notice.stored,
        "tries": notice.tries,
        "next_try": notice.next_try,
        "outcome": notice.outcome,
    }
