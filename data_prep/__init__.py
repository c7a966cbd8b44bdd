"""Raw captures in, data sets for fitting out."""

from data_prep.cleaning import clean
from data_prep.mesh_files import RawMesh, read_meshes
from data_prep.scans import Scan, ScanFolder, load_scans
from data_prep.units import Frame, detect_frame

__all__ = ["Frame", "RawMesh", "Scan", "ScanFolder", "clean", "detect_frame", "load_scans", "read_meshes"]
