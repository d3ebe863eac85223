"""The ledger: what was asked, what was sent, what came back; the only SQL of our own, and no pandas.

Imports answers, and what is below it.
"""
