"""Floor 4: the loop, its losses and negatives, its checkpoints."""
