"""Syncs, as users manage them. Start with `service`.

`making` makes and ends them, `standing` says how they are, `steering` does what users say a
sync is to do; `documents` are what goes in and what comes out.
"""
