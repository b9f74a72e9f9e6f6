"""State of a window that all its panels share; see `state` and `values`."""

from napari_tomodrgn.session.state import Session as Session
from napari_tomodrgn.session.values import MIN_SUPPORT as MIN_SUPPORT
from napari_tomodrgn.session.values import AtSlice as AtSlice
from napari_tomodrgn.session.values import CanvasMode as CanvasMode
from napari_tomodrgn.session.values import ComparedGroups as ComparedGroups
from napari_tomodrgn.session.values import Decoded as Decoded
from napari_tomodrgn.session.values import DecodedMap as DecodedMap
from napari_tomodrgn.session.values import Isosurface as Isosurface
from napari_tomodrgn.session.values import LatentPath as LatentPath
from napari_tomodrgn.session.values import LatentPoint as LatentPoint
from napari_tomodrgn.session.values import LoadedData as LoadedData
from napari_tomodrgn.session.values import MapSource as MapSource
from napari_tomodrgn.session.values import Message as Message
from napari_tomodrgn.session.values import NotOpened as NotOpened
from napari_tomodrgn.session.values import ParticleShape as ParticleShape
from napari_tomodrgn.session.values import PinLayout as PinLayout
from napari_tomodrgn.session.values import SelectionMode as SelectionMode
from napari_tomodrgn.session.values import Severity as Severity
from napari_tomodrgn.session.values import TomogramDisplay as TomogramDisplay
from napari_tomodrgn.session.values import TomogramImage as TomogramImage
from napari_tomodrgn.session.values import Validation as Validation
from napari_tomodrgn.session.values import VolumeMode as VolumeMode
from napari_tomodrgn.session.values import same_run as same_run
