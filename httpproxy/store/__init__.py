"""The one database: who alone speaks SQL.

registry   syncs, collections and their tables, for who serves them; start here
roster     the same syncs, for their users: lists, and what is changed of one
deletion   what goes with a sync
credentials   what opens accounts
streams    what was committed, from a cursor on
sync       how far each sync is, how it fares, whose it is
commits    what an answer said, committed before it is passed on
intents    calls under way and in doubt
layouts    from collections to tables and rows
sharing    what several processes know of each other
secrets    what is sealed, and API keys
events     who made a record
replicas   whether a replica has what was committed
wire       several statements in one go, for commits and intents
awaiting   a database that is not there yet
database   connections and migrations; `queries` are the named SQL, `errors` what goes wrong,
           `ids` what things are called
embedded   a Postgres of our own, where none is given
grants     what a role needs in somebody else's database
destinations   the DSN of a Postgres that a user named, made safe
"""
