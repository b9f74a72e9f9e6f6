"""How sure a run has to be that particles differ, and the sentence that says so; without torch."""

from __future__ import annotations

# Standard errors beyond which particles are said to differ: once in 700 sets where they do not.
THRESHOLD_SIGMA = 3.0


def verdict_sentence(sigma: float) -> str:
    """Say whether particles differ, by how many standard errors; NaN where nothing was held out."""
    threshold = f"threshold {THRESHOLD_SIGMA:g} σ"
    if sigma != sigma:
        return "Heterogeneity is untested: no images were held out."
    if sigma > THRESHOLD_SIGMA:
        return f"Heterogeneity is supported: {sigma:.1f} σ on held-out images ({threshold})."
    return (
        f"No significant heterogeneity ({sigma:.1f} σ on held-out images, {threshold}). "
        "Check any cluster by reconstructing it."
    )
