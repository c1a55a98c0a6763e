"""What an API looks like: descriptions of SaaS APIs as tables and pure functions.

Nothing here does I/O, reads a clock or knows of the gateway. Start with
`providers.catalog` (which providers there are), `providers.spec` (what a
description consists of) and `providers.record` (what an answer means).
"""
