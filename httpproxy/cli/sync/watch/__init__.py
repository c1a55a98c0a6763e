"""`httpproxy sync watch`. Start with `command`: what is looked at, and how it is shown."""
