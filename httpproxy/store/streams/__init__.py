"""What was committed, in an order that a reader can go on in.

`places` says what a cursor is and what is told; `stream` tells the events one by one,
`records` each record once; `retention` forgets what is old. docs/decisions/0017-streams.md
says why none of it skips what commits late.
"""
