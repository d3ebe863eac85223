"""What a person sees of a job: widgets, HTML and text, all drawn from a frozen snapshot."""
