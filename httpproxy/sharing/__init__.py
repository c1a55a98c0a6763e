"""Several processes on one database: who is there, and who may call an API how often.

`presence` is this process among the others; whatever they share hangs on its lease.
`machine` tells who of the same machine has been killed, so that nobody waits for that.
`leasing` speaks with the database for all lanes of the limiter, `holding` knows what is
said of one of them, `shares` how the slots of a limit are divided. Whose a sync is, is the
sync's (`sync.ownership`); what a process that is gone left in doubt, the exchange's.
"""
