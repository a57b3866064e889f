"""Lists of names and addresses as the DNS serves them: patterns, zone files, answers (RFC 5782)."""
