"""Is a difference real: groups of particles judged by images that did not choose them.

From the images up: `images` reads those of a run, `membership` says who belongs to which group from
one half of each particle's tilts, `particle_sums` holds what the other half says particle by
particle, `difference` tests it, `maps` and `blobs` show it, `causes` asks whether it is of the
molecule, `comparison` puts them together, `records` keeps the results in the run.
"""
