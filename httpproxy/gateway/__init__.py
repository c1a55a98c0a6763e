"""The door for HTTP writes: from bytes on a socket to an exchange, and back.

`server` is the handler of every request: `incoming` checks it and reads its body, `address`
splits the target, `answer` writes our side of the connection.

`connection` bears with a client within limits: `callers` tells who it is, `crowd` who has to
go when there are too many, `descriptors` how many there may be. `draining` ends connections
without losing a call.
"""
