"""One exchange with an API, told once.

relay          calls that name a sync or a credential of ours
forwarding     a call of the application: whether it was sent before, sent, its answer taken in;
               or only tried out
messages       what of a request and an answer travels on, and what goes out
authorization  whose token a call carries; an API key of ours in a token's place
settling       what overlapped, and what became of calls without an answer, read again
schema         the tables follow what the API's own schema becomes
conversations  our own calls to an API
attempt        a call of the application, and what became of it: the values
tokens         the access tokens of stored credentials, refreshed
directory      which syncs and APIs there are, and whose rate limit a call counts against
problems       how we say no
pacing         how often housekeeping may run

Start with `attempt` and `forwarding.write`.
"""
