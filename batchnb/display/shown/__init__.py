"""What is shown of an estimate, a pilot and a preview."""
