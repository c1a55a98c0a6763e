"""The one database: who alone speaks SQL.

embedded   a Postgres of our own, where none is given
database   connections and migrations
vault      secrets at rest
tables     from collections to tables and rows, pure
registry   syncs, credentials, collections and their tables
commit     what an answer said, committed before it is passed on
"""
