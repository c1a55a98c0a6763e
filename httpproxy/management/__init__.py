"""What can be done to credentials, syncs and their tables: once, for the API and the
command line.

A file, or a room, for each kind of thing. In it stand its *documents*, pydantic models of
what goes in and what comes out, and a service: a class whose methods do the work. What
cannot be done is `Declined`, with a code, a reason and the member that is at fault.

credentials   what opens accounts, and the OAuth apps that refresh it
syncs         made, listed, changed, steered, ended
schema, columns, collections, keys, intents, providers   a file each
ascode        all of it as a file: a plan, and its steps
services      all services of a process
models, paging, patching, naming, problems   what all of them share
"""
