"""Policy: checks asked in order, verdicts held until they may be given, and what the administrator exempts."""
