"""What is measured, and how: speed by `make bench`; accuracy by `paper`, `peers` and what writes the page of results."""
