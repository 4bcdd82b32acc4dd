"""RecTools' network without the work on padding, and with no scores but those asked for: the same numbers, faster on a CPU.

Shapes: B = sessions, L = events of the longest there may be, E = events that are no padding, C = candidates of an event,
N = items, F = numbers of a vector.
"""

from typing import Any

import scipy.sparse as sp
import torch
from rectools.models.nn.transformers.lightning import TransformerLightningModule
from rectools.models.nn.transformers.similarity import DistanceSimilarityModule
from rectools.models.nn.transformers.torch_backbone import TransformerTorchBackbone
from torch.nn.functional import cross_entropy

GROUP = 32  # sessions that are padded to one length: the fewer, the less padding, the more calls


class Backbone(TransformerTorchBackbone):  # type: ignore[misc]
    """The library's network, on sessions grouped by length: the library pads all of them to the longest there may be.

    It counts positions from the end, where each session has its last event, and padding is before. So a group without its
    empty columns is encoded as it would be with them; but only if no event attends to padding.
    """

    def encode_sessions(self, batch: dict[str, torch.Tensor], item_embs: torch.Tensor) -> torch.Tensor:
        """(B, L, F), 0 where a group had no column."""
        sessions_BL = batch["x"]
        if not self.use_key_padding_mask:
            found: torch.Tensor = super().encode_sessions(batch, item_embs)
            return found
        lengths_B = (sessions_BL != 0).sum(1)
        encoded_BLF = item_embs.new_zeros(*sessions_BL.shape, item_embs.shape[1])
        for rows in lengths_B.argsort().tensor_split(tuple(range(GROUP, len(lengths_B), GROUP))):
            columns = slice(-max(1, int(lengths_B[rows].max())), None)
            encoded_BLF[rows, columns] = super().encode_sessions({"x": sessions_BL[rows, columns]}, item_embs)
        return encoded_BLF


class Training(TransformerLightningModule):  # type: ignore[misc]
    """The library's, but for its softmax over all items: without the scores of padding, of which it takes no loss."""

    def training_step(self, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        """The mean loss of the events."""
        if self.loss != "softmax":
            found: torch.Tensor = super().training_step(batch, batch_idx)
            return found
        events, network = batch["y"] != 0, self.torch_model
        item_embs = network.item_model.get_all_embeddings()
        events_EF = network.encode_sessions(batch, item_embs)[events]
        logits_EN = network.similarity_module(events_EF, item_embs) / self.logits_t
        loss_E = cross_entropy(logits_EN, batch["y"][events], reduction="none") * batch["yw"][events]
        loss = loss_E.sum() / (loss_E > 0).sum()
        self.log(self.train_loss_name, loss, on_step=False, on_epoch=True)
        return loss


class Similarity(DistanceSimilarityModule):  # type: ignore[misc]
    """The library's scores of events and their sampled negatives, without those of padding.

    The library gathers the vectors of each event's own negatives. Here scores are a product of which only the wanted part
    is computed, and their gradients are sparse products.
    """

    def _get_pos_neg_logits(
        self, session_embs: torch.Tensor, item_embs: torch.Tensor, candidate_item_ids: torch.Tensor
    ) -> torch.Tensor:
        events = candidate_item_ids[..., 0] != 0  # the target comes first, and is 0 for padding, which no loss counts
        logits = session_embs.new_zeros(candidate_item_ids.shape)
        parts = session_embs[events], item_embs, candidate_item_ids[events]
        logits[events] = _Scores.apply(*parts)  # type: ignore[no-untyped-call]
        return logits


class _Scores(torch.autograd.Function):
    """Of each event with its candidates: (E, F), (N, F), (E, C) -> (E, C)."""

    @staticmethod
    def forward(ctx: Any, events_EF: torch.Tensor, items_NF: torch.Tensor, wanted_EC: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(events_EF, items_NF, wanted_EC)
        wanted = _to_torch(_sparse(torch.zeros(wanted_EC.shape), wanted_EC, len(items_NF)))
        scores: torch.Tensor = torch.sparse.sampled_addmm(wanted, events_EF, items_NF.T, beta=0.0).values()
        return scores.view_as(wanted_EC)

    @staticmethod
    def backward(ctx: Any, gradient_EC: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, None]:
        events_EF, items_NF, wanted_EC = ctx.saved_tensors
        gradient_EN = _sparse(gradient_EC, wanted_EC, len(items_NF))
        return _to_torch(gradient_EN) @ items_NF, _to_torch(gradient_EN.T.tocsr()) @ events_EF, None


def _sparse(values_EC: torch.Tensor, places_EC: torch.Tensor, n_items: int) -> Any:
    """(E, N). A place that comes twice is there twice."""
    n_events, n_candidates = places_EC.shape
    starts = torch.arange(0, n_events * n_candidates + 1, n_candidates, dtype=torch.int32)
    parts = (values_EC.flatten().numpy(), places_EC.flatten().int().numpy(), starts.numpy())
    return sp.csr_matrix(parts, shape=(n_events, n_items))


def _to_torch(matrix: Any) -> torch.Tensor:
    """As PyTorch has it, which warns, once, that this is new."""
    starts, places, values = (torch.from_numpy(part) for part in (matrix.indptr, matrix.indices, matrix.data))
    return torch.sparse_csr_tensor(starts, places, values, matrix.shape, check_invariants=False)
