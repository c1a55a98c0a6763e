"""Events and records, told to readers: pages, and a live tail."""
