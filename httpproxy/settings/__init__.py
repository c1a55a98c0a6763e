"""What an operator can set. Start with `httpproxy.settings.reading`: where it is looked up.

`service` describes what every process needs, `clients` what the gateway bears, `outside` what
operators look at, `sync` how the tables are kept; `kinds` says what a setting may be.
`reading` alone reads the environment and the file.
"""
