"""``python -m napari_tomodrgn``: the command line, where its script is not on the path."""

import sys

from napari_tomodrgn.cli import main

sys.exit(main())
