"""`httpproxy schema`. Start with `command`."""
