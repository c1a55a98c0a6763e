"""One exchange with an API, told once.

`write` carries a call of the application to the API and commits what the answer
says; `read` makes our own calls; `account` asks whose token it is; `settle` reads
again what could not be decided; `live` holds what a process knows of each sync;
`problems` is how we say no.
"""
