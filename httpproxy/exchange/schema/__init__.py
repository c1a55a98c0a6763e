"""The tables follow the API's schema: what an account has now (`discovery`), and when to look
again (`rediscovery`).
"""
