import random

import pytest
import torch

from body_models import InputError, load_anny
from body_models.anny import anny_betas, anny_parameters, anny_person
from body_models.anny.package import build_people_package, y_up

PHENOTYPES, LOCAL_CHANGES = anny_parameters()


def cases():
    """Extremes of each phenotype, and people drawn at random with strong local changes."""
    draw = random.Random(0)
    extremes = [{name: value} for name in PHENOTYPES for value in (0.0, 1.0)]
    mixed = [
        ({name: draw.random() for name in PHENOTYPES}, {name: draw.uniform(-1, 1) for name in chosen})
        for chosen in (draw.sample(LOCAL_CHANGES, 40) for _ in range(4))
    ]
    return [({}, {}), ({"age": -1 / 3}, {}), *((phenotypes, {}) for phenotypes in extremes), *mixed]


def test_people_are_as_anny_shapes_them():
    package = build_people_package()
    for phenotypes, local_changes in cases():
        _, *inputs = package.get_tensor_inputs(None, phenotypes, local_changes, None)
        rest = package.get_rest_model(package._get_phenotype_blendshape_coefficients(*inputs))
        person = anny_person(phenotypes, local_changes, "full")
        assert (person.vertices - y_up(rest["rest_vertices"][0])).norm(dim=1).max() < 5e-4
        heads = y_up(package.get_rest_model(package._get_phenotype_blendshape_coefficients(*inputs))["rest_bone_heads"])
        assert (person.joints - heads[0]).norm(dim=1).max() < 5e-4


@pytest.mark.parametrize("rig", ["compact", "hands", "full"])
def test_a_person_is_the_same_on_every_rig(rig):
    person, other = anny_person({"weight": 0.9}, rig=rig), anny_person({"weight": 0.9})
    assert torch.equal(person.vertices, other.vertices)
    assert person.joints.shape == (len(load_anny(rig).skeleton), 3)


def test_phenotypes_mean_what_they_say():
    def height(**phenotypes):
        vertices = anny_person(phenotypes).vertices
        return vertices[:, 1].max() - vertices[:, 1].min()

    assert height(age=0.0) < height(age=1 / 3) < height(age=2 / 3)
    assert height(height=0.0) < height(height=1.0)
    waist = [anny_person({"weight": weight}).vertices.std(0)[2] for weight in (0.0, 1.0)]
    assert waist[0] < waist[1]


def test_betas_are_the_nearest():
    model = load_anny()
    description = {"age": 0.7, "gender": 0.9, "weight": 0.8}
    betas, person = anny_betas(description), anny_person(description)
    residual = model.body(betas).vertices - person.vertices
    assert residual.norm(dim=1).mean() < 3e-3
    across = (model.shape_basis.flatten(1).double() @ residual.flatten().double()).abs()
    assert (across < 1e-3 * model.shape_basis.flatten(1).square().sum(1)).all()


@pytest.mark.parametrize(
    ("phenotypes", "local_changes", "message"),
    [
        ({"wieght": 0.5}, {}, "no phenotype 'wieght'.*'weight'"),
        ({"weight": 1.5}, {}, "'weight' is 1.5; give a number from 0 to 1"),
        ({"weight": -0.1}, {}, "from 0 to 1"),
        ({"age": -0.5}, {}, "from -0.333 to 1"),
        ({"weight": float("nan")}, {}, "'weight' is nan"),
        ({}, {"chin-widht-incr": 0.5}, "no local change.*'chin-width-incr'"),
        ({}, {"chin-width-incr": -1.5}, "from -1 to 1"),
    ],
)
def test_bad_descriptions_are_refused(phenotypes, local_changes, message):
    with pytest.raises(InputError, match=message):
        anny_person(phenotypes, local_changes)
    with pytest.raises(InputError, match=message):
        anny_betas(phenotypes, local_changes)
