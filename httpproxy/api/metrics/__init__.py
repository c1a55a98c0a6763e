"""What `/metrics` serves: `names` are the families, `samples` reads their values,
`standing` asks the database, `page` writes the text."""
