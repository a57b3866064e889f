"""C{tests/sessions} through a real Postfix, configured with the lines of README."""

from __future__ import annotations

from tests.integration.corpus import RealMtaTests, one_test_a_session


@one_test_a_session("postfix")
class PostfixSessionTests(RealMtaTests):
    """What the session files promise holds behind Postfix."""

    runner = "postfix"
