"""State: the interfaces of L{twistedmilter.interfaces.stores} in memory and in one SQLite file."""
