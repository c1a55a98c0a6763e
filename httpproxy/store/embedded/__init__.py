"""A Postgres of our own, from a wheel: started, shared, handed on, and never left behind."""
