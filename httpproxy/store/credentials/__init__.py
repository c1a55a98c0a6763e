"""What opens accounts at providers, sealed.

`book` keeps a credential for each account, `values` are what it is asked and answers in,
`apps` are the OAuth apps, and `refreshes` says whose turn it is to refresh a token.
"""
