"""Several processes of one machine behind one port. Start with `fleet`: who watches them."""
