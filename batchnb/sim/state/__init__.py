"""What the simulator keeps: batches, files, its folder."""
