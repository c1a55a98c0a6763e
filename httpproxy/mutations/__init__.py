"""Records created, updated and deleted at an API, in one form for all providers.

A mutation becomes requests of the provider's own, which go through the same exchange as
proxied writes.
"""
