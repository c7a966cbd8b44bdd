"""three.js plays our files in a browser, without a complaint, and puts every vertex where we do."""

from itertools import pairwise

import numpy as np

from tests.tools import three_player

MILLIMETRE = 1e-3
FRAMES = [0, 2, 4]


def test_it_plays_the_clip_as_we_do(model):
    with three_player(model.path) as player:
        clips = player.ask("window.player.clips")
        assert [clip["name"] for clip in clips] == [model.motion.name]
        np.testing.assert_allclose(clips[0]["seconds"], (len(model.motion) - 1) / model.motion.frame_rate, atol=1e-5)
        assert len(player.ask("window.player.joints")) == len(model.rig.skeleton)
        assert player.ask("window.player.morphs") == list(model.rig.morph_names)
        worn = ["map", *(["normalMap"] if not model.look.unlit else [])]
        assert player.ask("window.player.textures") == worn
        material = "MeshBasicMaterial" if model.look.unlit else "MeshStandardMaterial"
        assert player.ask("window.player.materials") == [material]
        pictures = []
        for time, expected in zip(model.times(FRAMES), model.posed(FRAMES), strict=True):
            player.set_time(time)
            np.testing.assert_allclose(player.posed_vertices(), expected, atol=MILLIMETRE)
            pictures.append(player.picture())
        for before, after in pairwise(pictures):
            assert (before != after).any(2).mean() > 1e-3
        assert player.ask("window.player.playedFrames(0.3)") > 0
        assert player.messages == []
