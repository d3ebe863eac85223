"""What the simulator answers, without a model."""
