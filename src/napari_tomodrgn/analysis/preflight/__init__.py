"""Are the physics of a particle set right? Asked of its images before an hour is spent on them.

A sample of at most 150 particles is read at low resolution. Power spectra say whether the images
carry the CTF that the star file describes; half maps and how well they foresee each other's images
say whether contrast, poses and tilt geometry hold. Every check has a number and a threshold (in
`state.Thresholds`); what the sample cannot decide is said to be undecided and alarms nobody.

A wrong pre-multiplication or pixel size is corrected for the checks after it, so that each fault
is told by its own name.
"""

from __future__ import annotations

from napari_tomodrgn.analysis.preflight.events import (
    CheckDone,
    PreflightDone,
    PreflightEvent,
    PreflightProgress,
)
from napari_tomodrgn.analysis.preflight.steps import preflight

__all__ = ["CheckDone", "PreflightDone", "PreflightEvent", "PreflightProgress", "preflight"]
