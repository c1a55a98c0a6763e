"""A call of the application, forwarded: `write` carries it to the API, reads too, and `intake`
commits what the answer says. `idempotency` tells whether it was sent before; `dryrun`, what it
would do.
"""
