"""What of an HTTP message travels on: `targets` and `headers`; and what goes out: `answers`."""
