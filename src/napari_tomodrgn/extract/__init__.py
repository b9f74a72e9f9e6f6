"""2-D tilt images of averaged particles, cut from the tilt series themselves.

Any averaging package leaves a list of positions and poses; any alignment says how the specimen was
projected. `alignments`, `lists`, `ctf` and `dose` read them into the one geometry of `geometry`;
`cut` cuts images, `proof` decides conventions on the data, `output` writes what this package and
RELION 5 read, and `run` does it all, tomogram by tomogram.
"""
