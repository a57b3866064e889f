"""The checks that come with the service, one a file."""
