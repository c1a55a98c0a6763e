"""`httpproxy doctor`. Start with `command`."""
