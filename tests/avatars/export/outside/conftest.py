import pytest

from tests.avatars.export.outside.exports import KINDS, Exported, exported


@pytest.fixture(scope="session", params=KINDS)
def model(request, tmp_path_factory) -> Exported:
    """A small exported avatar; nobody changes it."""
    return exported(request.param, tmp_path_factory.mktemp(request.param))
