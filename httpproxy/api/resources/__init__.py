"""The operations of /v1, a file for each resource: thin, over `management`, `streams` and
`mutations`.

Each file has a table `OPERATIONS`; `httpproxy.api.routes` lists them.
"""
