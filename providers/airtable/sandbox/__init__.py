"""A simulator of Airtable: stateful, without I/O, clock or randomness of its own.

`server.AirtableSandbox` is the door; `switches.Switches` lists what can be set.

    state      bases, tables, fields, records, tokens; ids
    errors     the refusals, with Airtable's bodies
    call       one request as the handlers see it
    cells      written values: accepted, cast, refused
    shown      read values: computed fields, records as JSON
    formula    the formula language; functions are in `functions`
    edits      changes of records, with inverse links kept and a log for webhooks
    records    create, update, upsert, delete; `listing` pages, sorts and filters
    uploads, comments, metadata, webhooks, csvsync    the other routes
    limits     requests per second and per month
    seed       what a fresh sandbox holds
"""
