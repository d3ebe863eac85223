"""Answers to the tables of databases, by SQLAlchemy, and by nothing of our own SQL."""
