"""`python -m httpproxy` is the command `httpproxy`."""

from __future__ import annotations

from httpproxy.cli import main

if __name__ == "__main__":
    main()
