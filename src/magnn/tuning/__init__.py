"""Floor 6: a search for better settings than the preset's, on the validation events."""
