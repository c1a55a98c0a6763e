"""The one database: who alone speaks SQL.

registry   syncs, credentials, collections and their tables; start here
roster     lists of syncs, and what users change of one
sync       how far each sync is, how it fares, whose it is
commits    what an answer said, committed before it is passed on
intents    calls under way and in doubt
layouts    from collections to tables and rows
sharing    what several processes know of each other
secrets    what is sealed, and API keys
events     the committed changes, read
replicas   whether a replica has what was committed
database   connections and migrations; `queries` are the named SQL, `errors` what goes wrong
embedded   a Postgres of our own, where none is given
grants     what a role needs in somebody else's database
destinations   the DSN of a Postgres that a user named, made safe
"""
