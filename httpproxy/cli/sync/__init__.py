"""`httpproxy sync`. Start with `command`: the group, and where its other commands are."""
