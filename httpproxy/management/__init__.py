"""What can be done to credentials, syncs and their tables: once, for the API and the
command line.

A file for each kind of thing. In it stand its *documents*, pydantic models of what goes in
and what comes out, and a class whose methods do the work. What cannot be done is
`Declined`, with a code, a reason and the member that is at fault.
"""
