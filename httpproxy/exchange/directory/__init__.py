"""What a process knows without asking: the syncs it serves (`syncs`), the APIs there are
(`apis`), and whose rate limit a call counts against (`allotment`).
"""
