"""Two steps of fitting every baseline to a tiny video, its file, and what it shows of the frames held out."""

import pytest
import torch

from avatars.fit.loop import step_generator
from avatars.fit.video import fit_video
from avatars.models.file import load_head
from data_prep.video_dataset import read_video_dataset
from tests.avatars.fit.tiny_video import PRESET, tiny_method

VARIANTS = {
    "c_net": "deformation: none\n  conditioned: true",
    "d_net": "deformation: displacement",
    "b_morph": "deformation: nearest",
    "fwd_skin": "deformation: skinning\n  conditioned: true",
}
EVERY = pytest.mark.parametrize("name", VARIANTS)


def with_preset(folder, name):
    preset = folder / "tiny.yaml"
    preset.write_text(PRESET.replace("imavatar:\n", f"imavatar:\n  {VARIANTS[name]}\n"))
    return preset


@EVERY
def test_every_parameter_learns_and_is_in_one_group(talking, name, tmp_path):
    preset = with_preset(tmp_path, name)
    method, _ = tiny_method(read_video_dataset(talking / "data"), preset)
    optimiser = torch.optim.Adam(method.parameter_groups())
    for step in range(2):  # what feeds a layer that starts at zero learns from the second step on
        optimiser.zero_grad()
        terms = method.losses(step, step_generator(0, step))
        sum(terms.values()).backward()
        optimiser.step()
    grouped = [id(p) for group in method.parameter_groups() for p in group["params"]]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in method.module.parameters()}
    for known, parameter in method.module.named_parameters():
        assert parameter.grad is not None, known
        assert bool(parameter.grad.isfinite().all()), known
        assert bool(parameter.grad.any()), known
    assert ("skinning" in terms, "offsets" in terms) == (name == "fwd_skin", False)


@EVERY
def test_fit_save_and_load(talking, name, tmp_path):
    preset = with_preset(tmp_path, name)
    out = tmp_path / "head.avatar"
    head = fit_video(talking / "data", out, preset=str(preset), steps=2, evaluate=True, quiet=True, device="cpu")
    again = load_head(out)
    assert again.model.options == head.model.options
    assert len(again.frame(0).mesh(32).faces) > 100
