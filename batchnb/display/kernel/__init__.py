"""What is known of the kernel: waiting in it, and whether a cell computes."""
