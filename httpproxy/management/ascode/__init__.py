"""Credentials, OAuth apps and syncs as a file says they are to be.

`declared` reads the file, `current` what there is; `planning` compares the two, and is pure;
`applying` does what the plan says, by the services of `management`. `exporting` writes what
there is as a file, which declares it.
"""
