"""Classification of embeddings from a handful of examples, or from descriptions alone. Plain numpy, deterministic.

Examples train a multinomial logistic regression (L2, labels weighted equally) by Nesterov's accelerated gradient: in
its dual form where they are few; on the embeddings themselves where they are many, each step scaled by the inverse of
Böhning's bound on the curvature (Annals of the Institute of Statistical Mathematics, 1992). How sure it is when it is
right is learnt from examples that were left out of training: one temperature (Guo et al., "On Calibration of Modern
Neural Networks", ICML 2017) against targets that leave room for an error not yet seen (Platt, 1999). At last a text
that resembles no example is drawn towards chance: a linear model is as sure of nonsense far away as of what it saw.

What it does to a whole workflow is measured by `python -m benchmarks demo`, and its confidence on other data by
`python -m benchmarks confidence`. It is calibrated on its own examples only: messages unlike them are what a threshold
does not cover, which is why reviews, and not it, guard money.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from signoff.core.values import value

Vector = npt.NDArray[np.float64]
Indexes = npt.NDArray[np.int64]

REGULARISATION = 0.001
"""Strength of L2; the temperature makes up for most of its effect on confidence."""
ITERATIONS = 300
"""Gradient steps; the loss is strongly convex, and later ones change the fourth decimal."""
MANY_EXAMPLES = 1000
"""From so many on the embeddings have fewer numbers than there are examples, and are what is trained on."""
MANY_REGULARISATION = 3e-6
"""Strength of L2 there: thousands of examples hold the weights by themselves."""
MANY_ITERATIONS = 150
"""Gradient steps there."""
MANY_FOLDS = 4
"""Groups left out in turn there, to learn the temperature."""
MAX_FOLDS = 50
"""Up to so many examples each is left out alone; more are left out in so many groups."""
TEMPERATURES = np.geomspace(5.0, 0.05, 80)
"""What is tried, the humblest first: it wins where left-out examples say nothing."""
FAMILIAR_SIMILARITY = 0.4
"""Cosine similarity to the nearest example at which a text counts as half familiar."""
FAMILIAR_STEEPNESS = 15.0
"""How fast familiarity rises around it."""
ZERO_SHOT_SCALE = 5.0
"""Turns differences of cosine similarity to descriptions into log-odds where there are no examples: low enough that
descriptions alone hardly ever reach a confidence of 0.9."""


@value
class Classifier:
    """What was learnt from examples.

    Attributes:
        known: the examples' embeddings, one a row, each of length 1.
        weights: of each example, or of each number of an embedding (row), for each label (column).
        bias: a number per label.
        temperature: divides the scores.
    """

    known: Vector
    weights: Vector
    bias: Vector
    temperature: float

    def probabilities(self, embedding: Vector) -> Vector:
        """A probability per label for one embedding of length 1."""
        similarities = self.known @ embedding
        features = similarities if len(self.weights) == len(self.known) else embedding
        raw = _softmax((features @ self.weights + self.bias) / self.temperature)
        nearest = float(similarities.max())
        familiarity = 1.0 / (1.0 + np.exp(-FAMILIAR_STEEPNESS * (nearest - FAMILIAR_SIMILARITY)))
        chance = 1.0 / len(raw)
        return chance + (raw - chance) * familiarity


def train(embeddings: Vector, labels: Indexes, label_count: int) -> Classifier:
    """Learn from examples. Every label needs at least one.

    Args:
        embeddings: one a row, each of length 1.
        labels: the label's index per row.
        label_count: how many labels there are.
    """
    if len(labels) >= MANY_EXAMPLES:
        weights, bias = _fit_many(embeddings, labels, label_count)
        return Classifier(embeddings, weights, bias, _temperature_of_many(embeddings, labels, label_count))
    similarities = embeddings @ embeddings.T
    weights, bias = _fit(similarities, labels, label_count)
    return Classifier(embeddings, weights, bias, _temperature(similarities, labels, label_count))


def zero_shot(embedding: Vector, descriptions: Vector) -> Vector:
    """A probability per label from the similarity to its description alone; humble, as it was calibrated on nothing."""
    return _softmax(ZERO_SHOT_SCALE * (descriptions @ embedding))


def _fit(similarities: Vector, labels: Indexes, label_count: int) -> tuple[Vector, Vector]:
    """Weights of the examples and a bias, by accelerated gradient in the span of the examples."""
    targets = np.eye(label_count)[labels]
    # Each label weighs the same whatever its number of examples: their share here says nothing about real traffic.
    row_weights = _row_weights(labels, label_count)[:, None]
    step = 1.0 / (0.5 + REGULARISATION)
    weights = ahead = np.zeros((len(labels), label_count))
    bias = bias_ahead = np.zeros(label_count)
    momentum = 1.0
    for _ in range(ITERATIONS):
        residual = (_softmax(similarities @ ahead + bias_ahead) - targets) * row_weights
        new_weights = ahead - step * (residual + REGULARISATION * ahead)
        new_bias = bias_ahead - step * residual.sum(axis=0)
        new_momentum = (1.0 + (1.0 + 4.0 * momentum * momentum) ** 0.5) / 2.0
        factor = (momentum - 1.0) / new_momentum
        ahead = new_weights + factor * (new_weights - weights)
        bias_ahead = new_bias + factor * (new_bias - bias)
        weights, bias, momentum = new_weights, new_bias, new_momentum
    return weights, bias


def _fit_many(embeddings: Vector, labels: Indexes, label_count: int) -> tuple[Vector, Vector]:
    """Weights of the embeddings' numbers and a bias, by accelerated gradient in the bound's own coordinates."""
    design = np.hstack([embeddings, np.ones((len(labels), 1))]).astype(np.float32)
    targets = np.eye(label_count, dtype=np.float32)[labels]
    row_weights = _row_weights(labels, label_count)[:, None].astype(np.float32)
    size = design.shape[1]
    bound = 0.5 * (design * row_weights).T @ design + MANY_REGULARISATION * np.eye(size, dtype=np.float32)
    scale = np.linalg.inv(bound)
    weights = ahead = np.zeros((size, label_count), dtype=np.float32)
    momentum = 1.0
    for _ in range(MANY_ITERATIONS):
        residual = (_softmax(cast("Vector", design @ ahead)) - targets) * row_weights
        new_weights = ahead - scale @ (design.T @ residual + MANY_REGULARISATION * ahead)
        new_momentum = (1.0 + (1.0 + 4.0 * momentum * momentum) ** 0.5) / 2.0
        ahead = new_weights + (momentum - 1.0) / new_momentum * (new_weights - weights)
        weights, momentum = new_weights, new_momentum
    return weights[:-1].astype(np.float64), weights[-1].astype(np.float64)


def _temperature_of_many(embeddings: Vector, labels: Indexes, label_count: int) -> float:
    scores = np.zeros((len(labels), label_count))
    folds = np.arange(len(labels)) % MANY_FOLDS
    for fold in range(MANY_FOLDS):
        inside, outside = folds != fold, folds == fold
        if len(np.unique(labels[inside])) < label_count:
            continue  # as for few: scores of chance
        weights, bias = _fit_many(embeddings[inside], labels[inside], label_count)
        scores[outside] = embeddings[outside] @ weights + bias
    return _best_temperature(scores, labels, label_count)


def _temperature(similarities: Vector, labels: Indexes, label_count: int) -> float:
    """The temperature at which scores of left-out examples are as sure as they are right."""
    count = len(labels)
    scores = np.zeros((count, label_count))
    folds = np.arange(count) % min(count, MAX_FOLDS)
    for fold in range(int(folds.max()) + 1):
        inside, outside = folds != fold, folds == fold
        if len(np.unique(labels[inside])) < label_count:
            continue  # the only example of its label says nothing about what is left out: scores of chance
        weights, bias = _fit(similarities[np.ix_(inside, inside)], labels[inside], label_count)
        scores[outside] = similarities[np.ix_(outside, inside)] @ weights + bias
    return _best_temperature(scores, labels, label_count)


def _best_temperature(scores: Vector, labels: Indexes, label_count: int) -> float:
    count = len(labels)
    # As if one more example had been wrong: otherwise few examples, all right, would allow any confidence.
    right = (count + 1.0) / (count + 2.0)
    targets = np.full((count, label_count), (1.0 - right) / max(1, label_count - 1))
    targets[np.arange(count), labels] = right
    weighted = targets * _row_weights(labels, label_count)[:, None]
    likelihoods = [float((weighted * np.log(_softmax(scores / value) + 1e-12)).sum()) for value in TEMPERATURES]
    return float(TEMPERATURES[int(np.argmax(likelihoods))])


def _row_weights(labels: Indexes, label_count: int) -> Vector:
    counts = np.bincount(labels, minlength=label_count)
    return 1.0 / (label_count * counts[labels])


def _softmax(scores: Vector) -> Vector:
    shifted = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
