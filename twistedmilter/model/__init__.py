"""Frozen values that every layer shares: addresses, verdicts, modifications, results, the record."""
