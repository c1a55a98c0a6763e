"""The background sync: fills the tables, keeps them, and never undoes a write.

Start with `engine` (what runs when), then `listing` (backfill and sweep), `listening`
(what has changed), `rereading` (what is marked dirty) and `truth` (is it so).
"""
