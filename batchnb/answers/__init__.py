"""What came back, to columns, frames, files and tables of databases.

Imports questions, costs, api, and what is below them.
"""
