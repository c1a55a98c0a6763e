"""The providers' simulators as a server, with faults to order.

Start with `httpproxy.sandbox.server` (what is served where) and
`httpproxy.sandbox.faults` (what can be made to go wrong, and how it is chosen).
"""
