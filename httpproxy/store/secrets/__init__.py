"""What is kept of secrets: never the text of one.

`vault` seals them and opens them, `sealing` seals the stored credentials anew when the key
is changed, `keys` are the API keys, of which hashes are kept.
"""
