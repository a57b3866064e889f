"""The outlets of the record: log formats, their destinations, the counters, and the fan-out to all of them."""
