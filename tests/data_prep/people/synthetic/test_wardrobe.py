"""MakeHuman garments: files, fitting to every build, solid pieces and outfits that stay as they were without them."""

import numpy as np
import pytest
import torch

from body_models import InputError, load_anny
from data_prep._mesh_edit import directed_edges
from data_prep.people.synthetic import Outfit, make_clothed_person
from data_prep.people.synthetic.garments import cover
from data_prep.people.synthetic.mhclo import read_mhclo
from data_prep.people.synthetic.obj_file import read_obj
from data_prep.people.synthetic.person import dress_person
from data_prep.people.synthetic.template import skin_of
from data_prep.people.synthetic.wardrobe import open_wardrobe
from data_prep.people.synthetic.wear import put_on
from data_prep.surface import Surface
from tests.shared_data import shared

QUAD = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"
CLOTH = "# a\nx_scale 0 1 1.0\ny_scale 0 3 1.0\nz_scale 0 4 1.0\nverts 0\n"
BASE = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1]])
NAKED = Outfit(top=False, trousers=False, shoes=False, hair=False)


@pytest.fixture(scope="module")
def model():
    return load_anny()


@pytest.fixture(scope="module")
def wardrobe(model):
    return open_wardrobe(shared("clothes_makehuman_cc0"), model)


def test_an_obj_file_is_triangulated_and_groups_are_chosen(tmp_path):
    path = tmp_path / "quad.obj"
    path.write_text(QUAD + "g a\nf 1/1 2/2 3/3 4/4\ng b\nf 1 2 3\n")
    assert len(read_obj(path).triangles) == 3
    assert read_obj(path, ("b",)).triangles.tolist() == [[0, 1, 2]]
    assert len(read_obj(path, ("b",)).points) == 4


def test_a_fitting_scales_with_the_body(tmp_path):
    path = tmp_path / "cloth.mhclo"
    path.write_text(CLOTH + "2\n0 1 3 0.5 0.25 0.25 0.1 0.2 0.3\n\ndelete_verts\n0 - 3\n")
    fitting = read_mhclo(path, 5, 2)
    np.testing.assert_allclose(fitting.on(BASE), [[1, 1, 0], [0.35, 0.45, 0.3]])
    np.testing.assert_allclose(fitting.on(2 * BASE), 2 * fitting.on(BASE))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.obj", QUAD),
        ("b.obj", QUAD + "f 1 2 9\n"),
        ("c.obj", "v 0 zero 0\nf 1 1 1\n"),
        ("d.mhclo", CLOTH),
        ("e.mhclo", CLOTH + "0 1 2 0.5\n"),
        ("f.mhclo", "verts 0\n0\n"),
        ("g.mhclo", CLOTH + "7\n"),
        ("missing.obj", None),
        ("missing.mhclo", None),
    ],
)
def test_damaged_files_are_named(tmp_path, name, text):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=name):
        read_obj(tmp_path / name) if name.endswith("obj") else read_mhclo(tmp_path / name, 5, 1)


def test_a_folder_without_garments_is_refused(tmp_path, model):
    with pytest.raises(InputError, match=tmp_path.name):
        open_wardrobe(tmp_path, model)


def test_pieces_are_closed_and_follow_the_build(model, wardrobe):
    betas = np.array([-0.4, 1.0, -1.0])
    body = model.body(torch.from_numpy(betas).float())
    garments = (wardrobe.suits[0], wardrobe.shoes[0], wardrobe.hair[0])
    _, pieces = put_on(cover(skin_of(model), betas, body, NAKED), garments, betas)
    for piece, garment in zip(pieces, garments, strict=True):
        edges = directed_edges(piece.faces)
        assert sorted(map(tuple, edges)) == sorted(map(tuple, edges[:, ::-1]))
        np.testing.assert_allclose(piece.weights.sum(1), 1, atol=1e-9)
        doubled = garment.on(2 * betas) - garment.points
        np.testing.assert_allclose(doubled, 2 * (garment.on(betas) - garment.points), atol=1e-9)


def test_suits_add_to_the_body_everywhere(model, wardrobe):
    body, betas = model.body(), np.zeros(3)
    naked = dress_person(model, betas, body, NAKED)
    within = naked.vertices - 0.01 * Surface(naked.vertices, naked.faces).vertex_normals
    thick = within[Surface(naked.vertices, naked.faces).signed_distance(within) < -0.008]
    for suit in wardrobe.suits:
        dressed = dress_person(model, betas, body, NAKED, (suit,))
        inside = Surface(dressed.vertices, dressed.faces).signed_distance(thick) < 0
        assert float(inside.float().mean()) > 0.995
        assert float((Surface(naked.vertices, naked.faces).signed_distance(dressed.vertices) > 0.001).sum()) > 1000


def test_about_half_wear_them_and_the_others_stay_as_they_were(model, wardrobe):
    folder = shared("clothes_makehuman_cc0")
    people = [make_clothed_person(model, seed, 8, folder) for seed in range(6)]
    assert 0 < sum(bool(person.garments) for person in people) < 6
    plain = next(seed for seed, person in enumerate(people) if not person.garments)
    without = make_clothed_person(model, plain, 8)
    assert torch.equal(without.clothed.vertices, people[plain].clothed.vertices)
