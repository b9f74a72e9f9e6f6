"""Are the images sound, one by one?"""

from __future__ import annotations

from collections.abc import Iterator

from napari_tomodrgn.analysis.preflight.power_spectrum import ODD, odd_images
from napari_tomodrgn.analysis.preflight.state import LIMIT, State
from napari_tomodrgn.data.checks import Check, Verdict


def pixel_value_checks(state: State) -> Iterator[Check]:
    """Are all pixels numbers?"""
    why = "One pixel that is no number makes every weight of the network one."
    broken = state.sample.broken
    remedy = "Extract these images again, or leave their particles out."
    if state.sample.blank:
        message = "Every image of the sample is blank, or holds pixels that are no numbers."
        yield Check(
            "pixels", "error", message, float(len(state.sample.particle_index)), why, remedy
        )
        return
    if not len(broken):
        message = "All pixels of the sample are numbers."
        yield Check("pixels", "ok", message, 0.0, why)
        return
    row = state.sample.particles.images.iloc[int(broken[0])]
    message = (
        f"{len(broken)} of {len(state.sample.particle_index)} images hold pixels that are no "
        f"numbers, first {row['particle_id']}, tilt {row['tilt_index']}."
    )
    yield Check("pixels", "error", message, float(len(broken)), why, remedy)


def odd_image_checks(state: State) -> Iterator[Check]:
    """Images whose power spectrum is unlike that of the others of the same tilt."""
    rows, _ = odd_images(state.sample)
    table = state.sample.particles.images.iloc[rows]
    state.odd = [
        f"{name}, tilt {tilt}"
        for name, tilt in zip(table["particle_id"], table["tilt_index"], strict=True)
    ]
    share = len(rows) / len(state.sample.particle_index)
    why = "Blank, contaminated or lost frames mislead the latents of their particles."
    if not len(rows):
        message = "No image of the sample has an odd power spectrum."
        yield Check("odd-images", "ok", message, 0.0, why)
        return
    verdict: Verdict = "warning" if share > LIMIT.odd else "info"
    message = (
        f"{len(rows)} of {len(state.sample.particle_index)} images ({share:.1%}) have a power "
        f"spectrum unlike that of their tilt (beyond {ODD:g} deviations): "
        f"{'; '.join(state.odd[:3])}"
        f"{'; …' if len(rows) > 3 else ''}."
    )
    yield Check("odd-images", verdict, message, share, why, "Look at them; leave out bad tilts.")
