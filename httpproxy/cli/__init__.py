"""The command line. Start with `httpproxy.cli.root`: the commands and what fails how.

A command has a file or a folder of its name; `serving` holds the three that run on.
"""
