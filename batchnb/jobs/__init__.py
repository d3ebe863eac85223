"""What a user holds: workspace, job, results, tables, pilot, composer, the accessors.

Imports planning, and what is below it.
"""
