"""The HubSpot CRM API. Start with `provider`, then `routes` and `images`."""
