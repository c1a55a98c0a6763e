"""Airtable's Web API: `provider.AIRTABLE` describes it; start reading there."""
