"""A gateway that puts what an API accepted into Postgres before it answers.

Start with `httpproxy.service` (who is built from what) and `httpproxy.exchange`
(one exchange with an API, told once).
"""
