"""What the processes on one database know of each other.

`processes` says who is there, `permits` who holds which slots (in the words of `terms`),
`epochs` which history of the database they all follow.
"""
