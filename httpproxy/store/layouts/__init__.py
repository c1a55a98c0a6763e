"""The users' tables: their names, columns and statements, and how they follow the APIs."""
