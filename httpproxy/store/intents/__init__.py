"""Writes that are under way, kept where no crash can lose them. Start with `book`."""
