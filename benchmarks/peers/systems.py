"""The peers, and three settings for each: the same small tuning budget for every one that takes more than seconds.

The first is what the library's defaults or the paper say; the others change what its documentation or the literature says
matters most. Item-kNN and EASE, where a try takes seconds, have a grid each. Where a source gives ranges, the values were
tried on validation events, never on test events. Settings of a length or of a learning rate also decide how many epochs fit
into the time limit on a CPU.
"""

from dataclasses import dataclass
from typing import Any

from magnn.ranking.baselines import DECAYS, EXPONENTS

Settings = dict[str, Any]
OF_TRAINING = ("patience", "valid_every")  # settings that are contract.py's, not the library's


@dataclass(frozen=True)
class System:
    """A model of a library.

    Attributes:
        name: as tables show it.
        folder: of the adapter, beside this file.
        model: the adapter's name for it.
        settings: the library's, and OF_TRAINING.
        movielens: the same for MovieLens, where the model's paper has others for it; the first is the paper's.
    """

    name: str
    folder: str
    model: str
    settings: tuple[Settings, ...]
    movielens: tuple[Settings, ...] = ()

    def on(self, data: str) -> tuple[Settings, ...]:
        """The settings on a data set."""
        settings = self.movielens if self.movielens and data.startswith("ml-") else self.settings
        if self.folder == "rectools" and data in SHORT_EPOCHS:
            return tuple(each | {"valid_every": SHORT_EPOCHS[data]} for each in settings)
        return settings


# A sample of RecTools is a user, so an epoch of latest-small is five steps, and patience would end a training while it
# still ranks by popularity. There it counts tens of epochs: 250 in place of 50, 50 in place of 10.
SHORT_EPOCHS = {"ml-latest-small": 10}


def _each(common: Settings, *changes: Settings) -> tuple[Settings, ...]:
    return tuple(common | change for change in changes)


_PATIENCE = {"patience": 25, "valid_every": 2}  # 50 epochs; a validation of MovieLens-1M takes a fifth of an epoch
# RecTools' defaults (a softmax over all items, 256 factors, 2 blocks, 4 heads, dropout .2), but with the lengths of the
# paper, and events do not attend to padding, which else is most of the work. Then SASRec's paper (Kang and McAuley 2018): 2
# blocks, 1 head, d = 50, binary cross-entropy with one negative, dropout .5 and length 50 on the sparse Amazon logs, .2 and
# 200 on MovieLens. The third is the paper's network with the library's loss. Over all items it learns in few epochs (on
# Beauty the first is best after 6), so patience is 10 of them, as it is for RecBole's networks.
_PATIENCE_SOFTMAX = {"patience": 5, "valid_every": 2}
_SASREC_RECTOOLS = {"use_key_padding_mask": True} | _PATIENCE_SOFTMAX
_SASREC = {"n_blocks": 2, "n_heads": 1, "n_factors": 50, "lr": 0.001, "batch_size": 128} | _PATIENCE
_SASREC_BEAUTY = {"loss": "BCE", "n_negatives": 1, "dropout_rate": 0.5, "session_max_len": 50}
_SASREC_MOVIELENS = {"loss": "BCE", "n_negatives": 1, "dropout_rate": 0.2, "session_max_len": 200}
_SASREC_SOFTMAX = {"loss": "softmax", "dropout_rate": 0.2, "session_max_len": 50} | _PATIENCE_SOFTMAX
# eSASRec's paper (2025, arXiv:2508.06450), its settings with leave-one-out, of Beauty and of MovieLens-1M. Then, on a
# sparse log, the 64 factors that its authors' own page names, with the dropout of SASRec's paper, and with theirs; on
# MovieLens the loss of gSASRec (Petrov and Macdonald 2023, t = .75), and Beauty's setting.
_ESASREC = {
    "transformer_layers_type": "rectools.models.nn.transformers.ligr.LiGRLayers",
    "use_key_padding_mask": True,
    "loss": "sampled_softmax",
    "n_negatives": 256,
    "n_heads": 1,
    "lr": 0.001,
    "batch_size": 128,
} | _PATIENCE
_ESASREC_BEAUTY = {"n_factors": 256, "n_blocks": 1, "dropout_rate": 0.2, "session_max_len": 50}
_ESASREC_MOVIELENS = {"n_factors": 64, "n_blocks": 2, "dropout_rate": 0.1, "session_max_len": 200}
_SMALLER = {"n_factors": 64}
_GBCE = {"loss": "gBCE", "gbce_t": 0.75}

NEIGHBOURS = (5, 10, 20, 50, 100, 300, 1000)

# RecBole: first its defaults (properties/model/NAME.yaml; length 50, softmax over all items, batch 2,048, Adam at .001),
# then values of the ranges that the page of each model recommends to search.
_LOW_DROPOUT = {"hidden_dropout_prob": 0.2, "attn_dropout_prob": 0.2}
_WINDOW = {"MAX_ITEM_LIST_LENGTH": 5}

SYSTEMS = (
    # Ours. What matters: item-kNN's exponent and decay (knn_settings.py; all that `magnn evaluate` tries), EASE's
    # regularisation (Steck 2019: 200 to 1,000; on small logs less is better).
    System("Popularity", "own", "popularity", ({},)),
    System(
        "Item-kNN with recency",
        "own",
        "item-knn",
        tuple({"exponent": exponent, "decay": decay} for exponent in EXPONENTS for decay in DECAYS),
    ),
    System("EASE", "own", "ease", tuple({"regularisation": each} for each in (500, 200, 50, 1000, 20))),
    # implicit. Neighbours and, for BM25, the weight of popularity (B) and how an item's count saturates (K1), around the
    # library's 20, .75 and 1.2; for ALS its defaults, then factors, regularisation and the weight of an event (Hu et al.
    # 2008: alpha = 40; Rendle et al. 2021); for BPR its defaults, then the rate and regularisation.
    System("implicit item-kNN, cosine", "implicit", "cosine", tuple({"K": each} for each in NEIGHBOURS)),
    System(
        "implicit item-kNN, BM25",
        "implicit",
        "bm25",
        tuple(
            {"K": neighbours, "K1": saturation, "B": weight}
            for saturation, weight in ((1.2, 0.75), (1.2, 0.3), (1.2, 0.1), (100, 0.3))
            for neighbours in NEIGHBOURS[2:]
        ),
    ),
    System(
        "implicit ALS",
        "implicit",
        "als",
        (
            {"factors": 100, "regularization": 0.01, "alpha": 1.0},
            {"factors": 256, "regularization": 10.0, "alpha": 10.0},
            {"factors": 128, "regularization": 0.1, "alpha": 40.0},
        ),
    ),
    System(
        "implicit BPR",
        "implicit",
        "bpr",
        _each(
            {"factors": 100, "valid_every": 10},
            {"learning_rate": 0.01, "regularization": 0.01},
            {"learning_rate": 0.05, "regularization": 0.01},
            {"learning_rate": 0.05, "regularization": 0.05},
        ),
    ),
    System(
        "RecBole BPR",
        "recbole",
        "BPR",
        _each({"valid_every": 2}, {}, {"learning_rate": 0.0005}, {"learning_rate": 0.005}),
    ),
    System(
        "RecBole GRU4Rec",
        "recbole",
        "GRU4Rec",
        ({}, {"learning_rate": 0.005}, {"learning_rate": 0.005, "dropout_prob": 0.5}),
    ),
    # Caser's and HGN's papers see the last 5 events (Tang and Wang 2018; Ma et al. 2019). Caser at 50 takes ten minutes an
    # epoch on two cores, so its first setting is the paper's in this.
    System(
        "RecBole Caser",
        "recbole",
        "Caser",
        _each(_WINDOW, {}, {"dropout_prob": 0.5, "reg_weight": 1e-5}, {"learning_rate": 0.005}),
    ),
    System("RecBole HGN", "recbole", "HGN", ({}, _WINDOW, _WINDOW | {"reg_weight": [0.001, 0.00001]})),
    System("RecBole SASRec", "recbole", "SASRec", ({}, _LOW_DROPOUT, _LOW_DROPOUT | {"MAX_ITEM_LIST_LENGTH": 20})),
    System(
        "RecBole GC-SAN",
        "recbole",
        "GCSAN",
        (
            {},
            _LOW_DROPOUT | {"n_layers": 1, "n_heads": 1},
            _LOW_DROPOUT | {"n_layers": 1, "n_heads": 1, "MAX_ITEM_LIST_LENGTH": 20},
        ),
    ),
    System(
        "RecTools SASRec",
        "rectools",
        "sasrec",
        (_SASREC_RECTOOLS | {"session_max_len": 50}, _SASREC | _SASREC_BEAUTY, _SASREC | _SASREC_SOFTMAX),
        movielens=(
            _SASREC_RECTOOLS | {"session_max_len": 200},
            _SASREC | _SASREC_MOVIELENS,
            _SASREC | _SASREC_SOFTMAX,
        ),
    ),
    System(
        "RecTools eSASRec",
        "rectools",
        "sasrec",
        _each(_ESASREC | _ESASREC_BEAUTY, {}, _SMALLER | {"dropout_rate": 0.5}, _SMALLER),
        movielens=_each(_ESASREC, _ESASREC_MOVIELENS, _ESASREC_MOVIELENS | _GBCE, _ESASREC_BEAUTY),
    ),
)
