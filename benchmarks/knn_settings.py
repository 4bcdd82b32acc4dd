"""Item-kNN's validation ndcg@10 over exponents and decays: why it chooses its settings for each log.

Usage: python -m benchmarks.knn_settings
"""

from benchmarks.peers.comparison import COMPARISONS
from benchmarks.runs import read_split, until_stopped
from magnn.ranking.baselines import DECAYS, EXPONENTS, KnnSettings, item_knn
from magnn.ranking.evaluate import evaluate_scorer

WIDER = (0.2, *EXPONENTS)  # a step beyond the smallest that is tried in use


def main() -> None:
    """Print a table for each log and protocol of the comparison, counted on train alone."""
    for data, protocol, _ in COMPARISONS:
        split = read_split(data, protocol)
        train, valid = split.train, split.valid
        print(f"{data}, {protocol}\nexponent" + "".join(f"{f'decay {decay}':>11}" for decay in DECAYS))
        for exponent in WIDER:
            cells = []
            for decay in DECAYS:
                scorer = item_knn(train, train, KnnSettings(exponent, decay))
                cells.append(evaluate_scorer(scorer, train, valid, intervals=False).metrics["ndcg@10"])
            print(f"{exponent:>8}" + "".join(f"{cell:>11.4f}" for cell in cells), flush=True)


if __name__ == "__main__":
    until_stopped(main, "stopped")
