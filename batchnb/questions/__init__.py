"""What one row asks, as bytes and a digest: recipe, template, messages, media, params, kinds of reply.

Imports errors, units, stats and system.
"""
