"""One Twisted process beside the MTA that decides which mail to believe, and says why."""

__version__ = "0.1.0"
