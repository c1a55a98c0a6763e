"""A gateway that puts what an API accepted into Postgres before it answers.

Start with `httpproxy.service` (what is opened, in which order) and `httpproxy.exchange`
(one exchange with an API, told once).
"""
