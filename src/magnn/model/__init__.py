"""Floor 2: the network, one file per section of the paper."""
