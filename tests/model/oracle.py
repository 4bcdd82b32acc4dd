"""The whole forward pass again, in NumPy, one sample at a time, written from the equations and not from the code."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import erf

from magnn.model.config import ModelConfig

Array = NDArray[Any]


def graph_rows(sequences: list[list[int]], n_items: int, steps: int) -> Array:
    """A: each item linked with its next `steps` in every sequence, both ways, counted, rows normalised."""
    counts = np.zeros((n_items, n_items))
    for sequence in sequences:
        for here, item in enumerate(sequence):
            for later in sequence[here + 1 : here + 1 + steps]:
                if later != item:
                    counts[item, later] += 1
                    counts[later, item] += 1
    totals = counts.sum(axis=1, keepdims=True)
    return counts / np.where(totals > 0, totals, 1)


def sigmoid(x: Array) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Any:
    weights = np.exp(x - x.max())
    return weights / weights.sum()


def position(age: int, dim: int) -> Array:
    """sin and cos of age / 10000^(2i / dim)."""
    code = np.zeros(dim)
    for d in range(dim):
        angle = age / 10_000 ** ((d - d % 2) / dim)
        code[d] = np.sin(angle) if d % 2 == 0 else np.cos(angle)
    return code


def window_mean(w: Mapping[str, Array], part: str, vectors: list[Array]) -> Any:
    """Plain, or with a softmax in each dimension over the ages that the window has, the last vector being the latest."""
    logits = w.get(f"{part}.mean.recency_LD")
    if logits is None:
        return np.mean(vectors, axis=0)
    recent = logits[-len(vectors) :]
    shares = np.stack([softmax(recent[:, d]) for d in range(recent.shape[1])], axis=1)
    return (shares * np.array(vectors)).sum(axis=0)


def query(weights: Mapping[str, Any], config: ModelConfig, A: Array, user: int | None, history: list[int]) -> Array:
    """v_u for one user (None: unknown) with a history, oldest first."""
    w: dict[str, Any] = {name: np.asarray(value, np.float64) for name, value in weights.items()}
    E, d = w["embeddings.input_D.weight"][:-1], config.dim
    recent = history[-config.short_window :]
    before = history[: -config.short_window][-config.long_window :]
    known = config.taste and user is not None
    p = w["embeddings.users_D.weight"][user] if known else np.zeros(d)

    s: Any = np.zeros(d)
    if config.short_term and recent:
        W1 = w["short_term.project.weight"]
        s = window_mean(w, "short_term", [np.tanh(W1 @ np.concatenate([A[i] @ E, E[i]])) for i in recent])

    z: Any
    o: Any
    z, o = np.zeros(d), np.zeros(d)
    if config.long_term and before:
        W1, W3 = w["history_query.from_items.weight"], w["history_query.to_heads.weight"]
        if config.recency:
            X, ages = np.array([E[item] for item in before]), w["history_query.recency_HA"][-len(before) :]
            logits = np.array([W3 @ np.tanh(W1 @ x) + b for x, b in zip(X, ages, strict=True)])  # items x heads
        else:
            W2, amplitude = w["history_query.from_taste.weight"], config.position_scale * config.init_std
            X = np.array([E[item] + amplitude * position(len(before) - 1 - nth, d) for nth, item in enumerate(before)])
            logits = np.array([W3 @ np.tanh(W1 @ x + W2 @ p) for x in X])
        heads = [np.tanh(softmax(logits[:, head]) @ X) for head in range(config.heads)]
        z = np.mean(heads, axis=0)
        o = softmax(w["memory.key_MD"] @ z) @ w["memory.value_MD"]
    long = z + o

    c: Any = np.zeros(d)
    if config.short_term and config.long_term:
        if config.fusion == "gate":
            g = sigmoid(sum(w[f"fusion.from_{x}.weight"] @ v for x, v in (("short", s), ("long", long), ("taste", p))))
            g = g if before else np.ones(d)
            c = g * s + (1 - g) * long
        elif config.fusion == "concat":
            c = w["fusion.from_short.weight"] @ s + w["fusion.from_long.weight"] @ long
        else:
            reset_s, update_s, new_s = np.split(w["fusion.from_short.weight"] @ s, 3)
            reset_h, update_h, new_h = np.split(w["fusion.from_long.weight"] @ long, 3)
            reset, update = sigmoid(reset_s + reset_h), sigmoid(update_s + update_h)
            c = (1 - update) * np.tanh(new_s + reset * new_h) + update * long
    elif config.short_term:
        c = np.tanh(w["personal.project.weight"] @ np.concatenate([s, p]))
    elif config.long_term:
        c = long

    r: Any = np.zeros(d)
    if config.cooccurrence and recent:
        r = w["cooccurrence.relate.weight"] @ window_mean(w, "cooccurrence", [E[i] for i in recent])

    v: Any = p + c + r
    if config.feed_forward:
        length = float(np.linalg.norm(v))
        hidden = w["feed_forward.widen.weight"] @ (np.sqrt(d) * v / max(length, 1e-12)) + w["feed_forward.widen.bias"]
        gelu = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
        v = v + length * (w["feed_forward.narrow.weight"] @ gelu)
    if config.cosine:
        v = config.cosine_scale * v / max(float(np.linalg.norm(v)), 1e-12)
    return np.asarray(v, np.float64)
