"""`python -m httpproxy` is the command `httpproxy`."""

from __future__ import annotations

from httpproxy.cli.root import main

if __name__ == "__main__":
    main()
