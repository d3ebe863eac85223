"""What is done before anything is sent: say, check, count, limit, record.

Imports protocol, and what is below it.
"""
