"""What the half maps of a sample show: agreement, what it looks like, the sign of the contrast."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from napari_tomodrgn.analysis.preflight.map_character import MapCharacter, contrasts, kind_of
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check, Verdict


def map_checks(state: State) -> Iterator[Check]:
    """Half maps: resolution, what they show, and the sign of the contrast."""
    halves = state.maps().halves
    one, two = contrasts(halves)
    state.kind = kind_of(halves, 1 if one + two >= 0 else -1)
    yield _half_map_check(state, state.kind)
    yield _kind_check(state, state.kind)
    yield _contrast_check(state, one, two)
    yield from _group_scale_checks(state)


def _half_map_check(state: State, kind: MapCharacter) -> Check:
    curve = state.maps().halves.fsc
    count = len(state.sample.particles)
    why = "If halves of the data show different things, there is nothing to compare particles by."
    if kind.word == "noise":
        verdict: Verdict = "warning" if count >= 100 else "info"
        message = (
            f"Two halves of {count} particles agree on nothing "
            f"(mean FSC {kind.agreement:.2f} at low resolution)."
        )
        remedy = "Check poses and images; with few or small particles, it may be the noise alone."
        return Check("half-maps", verdict, message, kind.agreement, why, remedy)
    resolution = curve.resolution_angstrom()
    message = (
        f"Half maps of {count} particles agree to {resolution:.1f} Å "
        f"(mean FSC {kind.agreement:.2f} at low resolution)."
    )
    return Check("half-maps", "ok", message, resolution if np.isfinite(resolution) else None, why)


def _kind_check(state: State, kind: MapCharacter) -> Check:
    why = "A structure without features shows that signs, CTF or poses are wrong."
    figures = (
        f"{kind.structure:.0%} of the density varies with direction, centre at {kind.centre:.0%} "
        "of the densest radius"
    )
    message = f"The quick map looks like a {kind.word} ({figures})."
    if kind.word == "particle":
        return Check("map-kind", "ok", message, kind.structure, why)
    if kind.word == "noise":
        message = "Undecided what the map shows: half maps do not agree."
        return Check("map-kind", "info", message, kind.agreement, why)
    if kind.word == "hollow":
        message = f"The quick map is hollow ({figures})."
        remedy = "Right for a shell; else check the contrast and the CTF at low resolution."
        return Check("map-kind", "info", message, kind.centre, why, remedy)
    remedy = "Check that poses belong to these particles, and the direction of the tilts."
    return Check("map-kind", "warning", message, kind.structure, why, remedy)


def _contrast_check(state: State, one: float, two: float) -> Check:
    why = "With the wrong sign, holes are learned as density."
    sure = one * two > 0 and min(abs(one), abs(two)) >= LIMIT.contrast
    number = (one + two) / 2
    if not sure or (state.kind and state.kind.word == "noise"):
        message = "Undecided whether particles are light or dark: too little signal."
        return Check("contrast", "info", message, number, why, "Set the contrast by hand.")
    state.contrast = "keep" if number > 0 else "invert"
    figure = f"centre {number:+.1f} SD from its surroundings, in both half maps"
    if state.config.contrast in ("auto", state.contrast):
        word = "light: images are kept" if number > 0 else "dark: images are inverted"
        return Check("contrast", "ok", f"Particles are {word} ({figure}).", number, why)
    message = (
        f"The contrast is set to {state.config.contrast}, which makes density negative ({figure})."
    )
    remedy = f"Set the contrast to {state.contrast}, or to auto."
    return Check("contrast", "warning", message, number, why, remedy)


def _group_scale_checks(state: State) -> Iterator[Check]:
    """Are images of different pixel size on one scale? Programs that scale each image part them."""
    particles = state.sample.particles
    stored = particles.optics.stored
    kinds = list(dict.fromkeys(stored))
    if len(kinds) < 2:
        return
    kind = np.array([kinds.index(one) for one in stored])
    factors, errors = state.maps().scales(kind[particles.images["optics_group"].to_numpy()])
    why = "A difference in scale that is the files' is learnt as one of the particles."
    if (factors <= LIMIT.sure * errors).any():
        message = "Undecided whether images of different pixel size have one scale."
        yield Check("group-scale", "info", message, None, why)
        return
    ratios = factors / factors[0]
    other = int(np.argmax(np.abs(np.log(ratios))))
    ratio, error = float(ratios[other]), float(np.hypot(*(errors / factors)[[0, other]]))
    message = (
        f"The particle is {ratio:.2f} ± {ratio * error:.2f} times as strong in images of "
        f"{kinds[other]} as in those of {kinds[0]}."
    )
    off = abs(float(np.log(ratio)))
    if off <= LIMIT.scale or off <= LIMIT.sure * error:
        yield Check("group-scale", "ok", message, ratio, why)
        return
    remedy = "Export all without scaling each image for itself, or train the groups apart."
    yield Check("group-scale", "warning", message, ratio, why, remedy)
