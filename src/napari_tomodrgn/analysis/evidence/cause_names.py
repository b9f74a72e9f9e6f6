"""What a difference between two groups may be of, as records and sentences call it."""

from __future__ import annotations

MOLECULE, SURROUNDINGS, JUNK = "molecule", "surroundings", "junk"
CONTRAST, DEFOCUS, ALIGNMENT = "contrast or empty box", "defocus", "alignment"
