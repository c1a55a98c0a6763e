"""What the sync keeps: how far it is, what is to be read again, how it fares."""
