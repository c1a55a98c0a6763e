"""The door for HTTP writes: from bytes on a socket to an exchange, and back.

`incoming` checks a request and reads its body, `address` splits the target, `headers`
says what travels on, `answer` writes our side of the connection, `server` is the aiohttp
server around them.
"""
