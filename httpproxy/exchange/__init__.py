"""One exchange with an API, told once.

`write` carries a call of the application to the API and commits what the answer says;
`account` asks whose token it is; `settle` reads again what could not be decided;
`rediscovery` lets the tables follow the API's schema. `calls` holds our own conversations
with APIs. `live` is what a process knows of each sync, `allotment` whose rate limit a call
counts against, `apis` which APIs there are, and `problems` how we say no.
"""
