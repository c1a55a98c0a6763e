"""Credentials and OAuth apps, as users manage them. Start with `service`.

`entering` reads what a user gives as one, `inspecting` says what the API thinks of it,
`documents` are what is told.
"""
