"""docs/results.md and its pictures, from results/runs/: `python -m benchmarks.results_page`."""

import sys
from pathlib import Path

from benchmarks.additions import additions_section
from benchmarks.measure import ROOT
from benchmarks.peers.comparison import COMPARISONS
from benchmarks.results_paper import ablation_section, main_result_section, sizes_section, tuning_section
from benchmarks.results_peers import comparison_section
from benchmarks.results_tables import Page
from benchmarks.significance import TEST

PAGE = ROOT / "docs" / "results.md"
PICTURES = ROOT / "docs" / "results"
INTRODUCTION = f"""# Results

Written by `python -m benchmarks.results_page`: tables and pictures from one JSON file a run (`benchmarks/results/runs/`),
what is said of the course of a training from its log, by hand. Every system ranks the whole catalogue without what the user
has seen; all lists are judged by the package's own evaluator. `ndcg@k` divides by the user's own ideal, `ndcg_fixed@k` by
that of k hits whatever the user has, as the paper's numbers do. "Refit" means that the final model is trained on train +
validation for the epochs that the validation events chose; no table mixes the two. A commit with `-dirty` had changes that
were not committed.

How fair it is:

- The preset `best` was developed on the validation events of the four logs here (Amazon CDs, Amazon Beauty, MovieLens-1M
  and MovieLens latest-small, where ratings of 4 and more count) and of MovieLens-100K. Each of its versions was run on
  the test events after it was chosen, on MovieLens-1M at least five of them: they have been seen. Every choice follows
  validation events, but for two early looks, at the first defaults and at a fixed item-kNN; of one version that was given
  up, the test numbers were known too (docs/experiments.md).
- Events of one time are in the order of the files: on Amazon Beauty, where a time is a day, by item id; on Amazon CDs a
  day's order is arbitrary; on MovieLens-1M many events of a user share a second. What comes last, and so is tested, hangs
  on it, for every system alike. Only on Amazon Beauty another order was tried, a random one (below its table).
- The peers have the settings of their libraries or papers and a few more; the tables say how many were tried, and which
  is judged. Grids are small, and most of the best of item-kNN, cosine and ALS are at an edge of theirs. Below each table
  stands which settings of a network have not been tried, for some although there was time left.
- An hour of training on two cores is for all settings of a peer, one after the other. Some had more (eSASRec on Amazon
  Beauty 83 minutes for three settings, on MovieLens-1M 61 for one, on Amazon CDs 14 for a second one after its hour).
  Some had less, from six minutes to half an hour. What time ended is judged at the best of the epochs that it reached,
  and the final fit of a table with a refit has as many epochs. The smaller limits ended ten trainings: on Amazon CDs
  RecBole's GRU4Rec, GC-SAN and Caser's second setting; on MovieLens-1M, protocol `paper`, RecBole's SASRec, GRU4Rec and
  GC-SAN, and eSASRec; on Amazon Beauty GRU4Rec's third setting and, protocol `paper`, GC-SAN's third and eSASRec. The
  hour, or what was left of it, ended nine more: on Amazon CDs RecBole's SASRec, HGN's third setting and eSASRec; on Amazon
  Beauty eSASRec's second setting; on MovieLens-1M, leave-one-out, RecBole's SASRec, GRU4Rec, GC-SAN and Caser's third
  setting, and eSASRec.
- Patience is ten epochs without a better one for RecBole's networks (its BPR: twenty) and for RecTools' SASRec with a
  softmax over all items, fifty for what RecTools trains with drawn items; on latest-small five times as many for
  RecTools.
- A peer's lists are judged on the test events once its setting is chosen. Where its adapter was mended, its training got
  more time or a setting came later, they were judged again, and the last stand: eSASRec on Amazon Beauty five times (.0717
  to .0801 in recall@10, the last the best), on MovieLens-1M three times (.2753 to .3022), RecTools' SASRec on Amazon Beauty
  three times (.0444 to .0873), HGN on Amazon CDs and implicit's item-kNN on most logs twice.
- Settings and epochs are chosen on the validation events, for implicit and the networks of RecBole and RecTools on 5,000
  of the users at most; where a setting was taken over from another table, it was chosen there. Of `best`, the eleven
  numbers of the graph part are learned from these events too, also without a refit; on Amazon Beauty, learned on other
  users, they give nearly as much, and on latest-small all they give is within chance (`python -m
  benchmarks.unseen_graph`, docs/experiments.md).
- RecTools trains with this project's faster scoring, padding and dropout, RecBole from 2026-11-28 on with its dropout,
  padding and graphs, implicit as it is (docs/experiments.md, Speed).
- Where systems are compared by p, it is the users that vary: with one seed each, a small difference may be the seed's.

How to read the tables of systems:

- p: against magnn best, {TEST}.
- Settings: how many were tried on this table's validation events. Trainings that were stopped by hand, or run with an
  older adapter, are not counted; they are told below the table. Epochs: up to the best on the validation events, of those
  trained where that is on record.
- Fit: of the chosen setting, choosing the epoch and, where there is one, the final fit. A letter names the machine, and
  times compare only between runs of one.
- Peak memory: of the training process. Until 2026-11-29 that of the one which started it was taken in, so less than half a
  GiB is not told apart.
"""


def write_page(pictures: Path = PICTURES) -> str:
    """Draw the pictures into a folder, and give the page's text."""
    page = Page(pictures)
    page.lines.append(INTRODUCTION)
    pictures.mkdir(parents=True, exist_ok=True)
    main_result_section(page)
    ablation_section(page)
    sizes_section(page)
    tuning_section(page)
    for data, protocol, refit in COMPARISONS:
        comparison_section(page, data, protocol, refit)
    additions_section(page)
    if page.refused:
        page.add("## Refused", "Result files of other data, code or settings than the tables are about; not in them.")
        page.lines += [f"- {reason}" for reason in dict.fromkeys(page.refused)]
    return "\n".join(page.lines).rstrip() + "\n"


if __name__ == "__main__":
    text = write_page()
    PAGE.write_text(text)
    print(f"wrote {PAGE.relative_to(ROOT)}", file=sys.stderr)
