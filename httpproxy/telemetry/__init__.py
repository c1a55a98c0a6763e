"""What is noted of calls and jobs while they run; whoever asks from outside reads it here.

`course` follows one call through its phases, `tally` counts what became of all of them,
`watch` begins and ends both, `spans` hands them to a collector of traces.
"""
