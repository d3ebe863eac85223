"""From recorded to answered, exactly once: sending, finding out, polling, reading.

Imports ledger, display, and what is below them; knows no pandas.
"""
