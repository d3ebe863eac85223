"""The form that composes a job."""
