"""Half-price answers from Claude for every row of a DataFrame."""
