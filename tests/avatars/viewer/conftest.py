import pytest

from avatars.viewer.models import BodyModel, HeadModel
from tests.avatars.small_avatar import small_avatar
from tests.avatars.small_head import small_head


@pytest.fixture
def viewer():
    pytest.importorskip("viser", reason="viser is not installed: pip install viser")
    from avatars.viewer import Viewer

    with Viewer(port=23_700) as made:
        yield made


@pytest.fixture(scope="module")
def body():
    return BodyModel("bob", small_avatar())


@pytest.fixture(scope="module")
def head():
    return HeadModel("anna", small_head())
