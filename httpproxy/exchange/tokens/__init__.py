"""The access tokens of stored credentials: `access` hands them out, `refreshing` renews them,
`lifetimes` says when.
"""
