"""The command line. Start with `httpproxy.cli.root`: the commands and what fails how."""

from httpproxy.cli.root import main

__all__ = ["main"]
