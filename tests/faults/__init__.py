"""The fault suite: everything is killed, cut and filled up, and nothing may be lost.

`make faults` plays it for long, `test_bounded_faults.py` a bounded part of it.

    history      what was seen: by the authority, the callers, the readers, the audit
    checker      whether that is a history which keeps the invariants; pure
    authority    the APIs: sandboxes that number every change and write the number down
    operations   the calls of the load, and what an answer to each of them says
    callers      the load: writers, readers, third parties, clients that go away
    serving      the real `httpproxy serve`, in processes that kill themselves at a named step
    failpoints   which steps there are
    wires        TCP connections that are cut, delayed, swallowed, halved and truncated
    database     the one Postgres: restarted, locked, timed out, filled up; the audit
    troubles     what goes wrong when
    stage        all of it, opened and closed
    play         acts of a run, their ends, and the figures
"""
