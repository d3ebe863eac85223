"""Tokens to dollars: usage, prices, bills, allowances, what a cache costs.

Imports errors, units, stats and system.
"""
