"""One exchange with an API, told once.

A call of the application: `write` carries it to the API and `intake` commits what the answer
says; `attempt` has their values. `account` asks whose token it is, `idempotency` whether it
was sent before, `settle` reads again what overlapped, `problems` is how we say no. `headers`
and `targets` say what travels on, `answers` what goes out; `standin` puts the stored credential
in the place of our API key. `dryrun` tells what a call would do. What became of one without an
answer, `doubts` finds out by the `evidence`.

Our own calls: `calls` holds the conversations, `discovery` and `rediscovery` let the tables
follow the API's schema.

For both: `live` is what a process knows of each sync, `allotment` whose rate limit a call
counts against, and `apis` which APIs there are.
"""
