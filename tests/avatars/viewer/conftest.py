import pytest


@pytest.fixture
def viewer():
    pytest.importorskip("viser", reason="viser is not installed: pip install viser")
    from avatars.viewer import Viewer

    with Viewer(port=23_700) as made:
        yield made
