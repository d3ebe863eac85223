"""A simulator of the Message Batches API: a real HTTP server on loopback. Imports nothing else of batchnb."""
