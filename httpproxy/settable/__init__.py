"""What can be set, section by section; `httpproxy.settings` puts them together and reads them.

`kinds` is what a setting may be, `service` what every process needs, `sync` how the tables
are kept. Nothing here reads the environment or a file.
"""
