"""Logistic regression with a ridge, by Newton's method: convex, so the same pairs always give the same weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RIDGE = 1.0
"""What a weight of 1, on inputs of spread 1, costs in units of log-likelihood, doubled."""
ROUNDS = 50
CLOSE = 1e-9


class Logistic(NamedTuple):
    """Weights (f,), and what is added to their sum."""

    weights: Floats
    intercept: float

    def logits(self, inputs: Floats) -> Floats:
        """Return the log-odds of rows (n, f)."""
        return inputs @ self.weights + self.intercept


def fit(inputs: Floats, labels: NDArray[np.bool_], rising: int = 0, ridge: float | Floats = RIDGE) -> Logistic:
    """Fit rows (n, f) and labels (n,), of which both kinds occur; the first `rising` weights come out 0 or positive.

    Inputs are scaled inside, so the ridge, one number or (f,), means the same for all of them.
    """
    mean, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread = np.where(spread > 1e-12, spread, 1.0)
    scaled = (inputs - mean) / spread
    free, ridges = np.ones(inputs.shape[1], bool), np.broadcast_to(ridge, inputs.shape[1])
    while True:
        weights, intercept = _newton(scaled[:, free], labels, ridges[free])
        spread_out = np.zeros(len(free))
        spread_out[free] = weights
        falling = np.flatnonzero(spread_out[:rising] < 0)
        if not len(falling):
            break
        free[falling[np.argmin(spread_out[falling])]] = False
    found = spread_out / spread
    return Logistic(found, float(intercept - found @ mean))


def _newton(inputs: Floats, labels: NDArray[np.bool_], ridges: Floats) -> tuple[Floats, float]:
    design = np.column_stack([inputs, np.ones(len(inputs))])
    penalty = np.append(ridges, 1e-6)
    weights = np.zeros(design.shape[1])
    weights[-1] = np.log(max(labels.mean(), 1e-6) / max(1 - labels.mean(), 1e-6))
    loss = _loss(design, labels, weights, penalty)
    for _ in range(ROUNDS):
        chance = sigmoid(design @ weights)
        gradient = design.T @ (chance - labels) + penalty * weights
        curvature = (design * (chance * (1 - chance))[:, None]).T @ design + np.diag(penalty)
        step, length = np.linalg.solve(curvature, gradient), 1.0
        while (after := _loss(design, labels, weights - length * step, penalty)) > loss and length > 1e-6:
            length /= 2
        weights = weights - length * step
        if loss - after <= CLOSE * max(1.0, abs(loss)):
            break
        loss = after
    return weights[:-1], float(weights[-1])


def _loss(design: Floats, labels: NDArray[np.bool_], weights: Floats, penalty: Floats) -> float:
    logits = design @ weights
    return float(log_loss(logits, labels).sum() + 0.5 * (penalty * weights) @ weights)


def log_loss(logits: Floats, labels: NDArray[np.bool_]) -> Floats:
    """Return minus the log-likelihood of each label."""
    return np.logaddexp(0, np.where(labels, -logits, logits))


def sigmoid(logits: Floats) -> Floats:
    """Return chances for log-odds, without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))
