"""The neighbours that tests talk to: raw sockets on both sides of a door."""
