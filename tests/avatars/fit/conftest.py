import pytest

from avatars.fit import fit_scans
from tests.avatars.fit.tiny import write_scans


@pytest.fixture(scope="session")
def scans(tmp_path_factory):
    """Folder of tiny scans, see `tiny.write_scans`; nobody changes it."""
    return write_scans(tmp_path_factory.mktemp("scans"))


@pytest.fixture(scope="session")
def whole(scans, tmp_path_factory):
    """An avatar fitted to the tiny scans in one go, and its file; nobody changes either."""
    out = tmp_path_factory.mktemp("whole") / "person.avatar"
    settings = {"poses": scans / "train/poses.npz", "preset": str(scans / "tiny.yaml"), "quiet": True}
    return fit_scans(scans / "train", out, **settings), out
