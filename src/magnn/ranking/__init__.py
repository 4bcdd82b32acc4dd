"""Floor 3: exact top-K, metrics, evaluation, baselines."""
