"""What reply is asked for, how it is read back, and which columns it gives."""
