"""The live tables of jobs, batches and files."""
