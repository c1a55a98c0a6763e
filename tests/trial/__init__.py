"""A trial of the whole system at size, as a user would run it: `make trial`."""
