"""AMASS files of random content, for the tests of reading and writing."""

import numpy as np

FRAMES = 5


def arrays(width=156, **changes):
    rng = np.random.default_rng(0)
    values = {
        "poses": 0.3 * rng.standard_normal((FRAMES, width)),
        "trans": rng.standard_normal((FRAMES, 3)),
        "betas": rng.standard_normal(16),
        "gender": np.array("female"),
        "mocap_framerate": np.array(120.0),
    }
    values.update(changes)
    return {key: value for key, value in values.items() if value is not None}


def save(tmp_path, **values):
    path = tmp_path / "clip.npz"
    np.savez(path, **values)
    return path
