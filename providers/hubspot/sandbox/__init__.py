"""A stateful simulator of the HubSpot CRM API. Start with `kit` and `server`."""
