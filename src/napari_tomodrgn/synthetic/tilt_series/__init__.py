"""Full tilt images with every form of alignment, list, CTF and dose that `extract` reads."""
