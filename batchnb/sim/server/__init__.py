"""The simulator as a server: HTTP, faults, connections."""
