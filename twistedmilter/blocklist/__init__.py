"""What is listed: the names, patterns and networks of a zone, its files, and how to ask it.  No packets, no I/O."""
