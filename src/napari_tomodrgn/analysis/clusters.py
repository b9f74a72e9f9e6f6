"""Clusters of latents. scikit-learn is imported when first needed: it takes seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def k_means(latents: ArrayLike, clusters: int, seed: int = 0) -> NDArray[np.int64]:
    """Cluster of each row of ``(particle, latent)``; the same for the same seed."""
    from sklearn.cluster import KMeans

    model = KMeans(clusters, n_init=10, random_state=seed)
    return np.asarray(model.fit_predict(np.asarray(latents, dtype=np.float64)), dtype=np.int64)


def agreement(labels: ArrayLike, truth: ArrayLike) -> float:
    """Adjusted Rand index of two labellings: 1 the same, 0 by chance."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(np.asarray(truth), np.asarray(labels)))
