"""The second door, on a port of its own: what is seen of the service from outside.

Whether it lives and may be given calls, its metrics, and the wait for a replica. Nothing
of the APIs passes here, so it is an ordinary web application.
"""
