"""Khronos' validator has nothing to say about our files."""

from tests.tools import validator_messages


def test_no_errors_warnings_or_remarks(model):
    said = validator_messages(model.path)
    assert said["messages"] == []
    assert (said["numErrors"], said["numWarnings"]) == (0, 0)
