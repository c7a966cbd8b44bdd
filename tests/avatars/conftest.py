import pytest


@pytest.fixture(scope="session")
def talking(tmp_path_factory):
    """Folder of a short video of a talking head, see `tiny_video.write_talking`; nobody changes it."""
    from tests.avatars.fit.tiny_video import write_talking  # slow to import, and few tests need it

    folder = tmp_path_factory.mktemp("talking")
    write_talking(folder)
    return folder
