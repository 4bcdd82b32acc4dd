"""Numbers of the paper, for the tables to stand beside.

Source: Ma et al., AAAI 2020, tables 2 and 3 (Amazon CDs). Its NDCG@10 divides by the ideal of ten hits whatever the user
has (`ndcg_fixed@10` here), as the authors' public code did.
"""

# System -> recall@10, ndcg_fixed@10.
CDS = {
    "BPRMF": (0.0269, 0.0145),
    "GRU4Rec": (0.0302, 0.0154),
    "GRU4Rec+": (0.0356, 0.0171),
    "GC-SAN": (0.0372, 0.0196),
    "Caser": (0.0297, 0.0163),
    "SASRec": (0.0341, 0.0193),
    "MARank": (0.0382, 0.0151),
    "MA-GNN": (0.0442, 0.0214),
}
CDS_ABLATION = {
    "MF": (0.0269, 0.0145),
    "MF + S": (0.0306, 0.0158),
    "MF + S + H, gated": (0.0401, 0.0191),
    "MF + S + H, concatenated": (0.0295, 0.0148),
    "MF + S + H, GRU": (0.0268, 0.0147),
    "full": (0.0442, 0.0214),
}
