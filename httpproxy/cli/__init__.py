"""The command line. Start with `httpproxy.cli.root`: the commands and what fails how."""
