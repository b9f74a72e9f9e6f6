"""What is wrong with a set of particles, told before any time is spent on it.

Errors make a result meaningless or impossible, warnings deserve a look, infos are good to know.
Questions about the files stand in `stacks`, about their numbers in `values` and `places`; those
about the physics need the images themselves (`analysis.preflight`).
"""

from __future__ import annotations

from napari_tomodrgn.data.checks.check import Check, Problem, Severity, Verdict, problems_of
from napari_tomodrgn.data.checks.positions import PLACE_QUESTIONS
from napari_tomodrgn.data.checks.set_summary import ram_gb, summary
from napari_tomodrgn.data.checks.stacks import STACK_QUESTIONS, check_stacks, stack_steps
from napari_tomodrgn.data.checks.values import VALUE_QUESTIONS
from napari_tomodrgn.data.particles import ParticleSet

__all__ = [
    "Check",
    "Problem",
    "Severity",
    "Verdict",
    "check_stacks",
    "file_checks",
    "inspect_particles",
    "problems_of",
    "ram_gb",
    "stack_steps",
    "summary",
]


def inspect_particles(particles: ParticleSet) -> list[Problem]:
    """All that the files and the numbers of a set give to say, worst first."""
    return problems_of(file_checks(particles))


def file_checks(particles: ParticleSet) -> list[Check]:
    """Every question about the files and the numbers with its answer, in the order asked."""
    questions = (*STACK_QUESTIONS, *VALUE_QUESTIONS, *PLACE_QUESTIONS)
    return [check for question in questions for check in question.checks(particles)]
