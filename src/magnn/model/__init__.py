"""Floor 2: the network, a part of it a file; and what stands beside it in the score, the graph part."""
