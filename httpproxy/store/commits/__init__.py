"""What answers say, into rows: one by one behind the interval guard, or page by page."""
