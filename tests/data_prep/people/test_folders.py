import dataclasses

import numpy as np
import pytest
import torch
import trimesh

import data_prep.people.folders.convert as convert
from body_models import load_anny, load_body_model
from body_models.errors import InputError
from data_prep.people import MemberOptions, make_member, member_file, read_people
from data_prep.people.folders import ConvertOptions, convert_people
from data_prep.people.folders.fitted import find_subjects
from data_prep.people.folders.scans import ScannedPerson, find_people, nearest_betas, read_scanned
from data_prep.scans import Scan
from data_prep.surface import Surface
from tests.data_prep.people.cases import ball_mesh
from tests.data_prep.people.smpl_folders import SCALE, TRANSL, add_stand_in, npz, parameters, write_scan, write_thuman
from tests.data_prep.registration.cases import chair, natural_poses, person, rough_scans

SMALL = MemberOptions(near=400, uniform=200, samples=300, yaws=(0.0, 3.0), size=16)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    add_stand_in(folder)
    return folder


@pytest.fixture(autouse=True)
def _own_models(monkeypatch, models):
    monkeypatch.setenv("AVATARS_MODELS", str(models))


def save(folder, *scans):
    folder.mkdir(parents=True, exist_ok=True)
    for scan in scans:
        trimesh.Trimesh(scan.vertices, scan.faces, process=False).export(folder / f"{scan.name}.ply")


def test_thuman(tmp_path):
    write_thuman(tmp_path / "thuman")
    write_scan(tmp_path / "thuman" / "0002" / "0002.obj")
    (tmp_path / "thuman" / "THuman2.0_smpl" / "0003_smpl.pkl").write_bytes(b"junk")
    write_scan(tmp_path / "thuman" / "0003" / "0003.obj")
    heard = []
    options = ConvertOptions(member=SMALL)
    people = convert_people(tmp_path / "thuman", tmp_path / "out", options, progress=lambda *a: heard.append(a))
    assert people.names == ("0000", "0001")
    assert (people.body_model, people.betas_count, people.view_size) == ("smpl", 10, 16)
    assert dict(people.skipped).keys() == {"0002", "0003"}
    assert heard[-1] == ("reading people", 2, 2)
    for number in range(2):
        member = people.member(number)
        assert member.betas.tolist() == [number] + [0] * 9
        body = load_body_model("smpl").body(member.betas)
        posed = body.pose_vertices(member.poses[0], member.translations[0])
        assert torch.cdist(member.surface[0], posed).amin(1).mean() < 0.02
        assert torch.cdist(posed[::20], member.surface[0]).amin(1).mean() < 0.08


@pytest.mark.parametrize(
    ("mesh", "fit"),
    [
        ("rp_eva_posed_002_OBJ/rp_eva_posed_002_100k.obj", "fits/rp_eva_posed_002_smpl.npz"),
        ("0001/0001.obj", "smplx/0001/smplx_param.npz"),
        ("0001/0001.obj", "0001/smpl.npz"),
        ("0001/mesh.obj", "0001_smpl.npz"),
        ("eva.obj", "eva.npz"),
        ("eva.obj", "../fits_smpl/eva.npz"),
    ],
)
def test_where_parameters_may_lie(tmp_path, mesh, fit):
    source = tmp_path / "source"
    for name in (mesh, fit, "noise/notes.json", "0001/mesh_smplx.obj"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes(b"")
    ((subject,), lost) = find_subjects(source)
    assert subject.mesh == source / mesh
    assert subject.parameters.resolve() == (source / fit).resolve()
    assert subject.name in ("rp_eva_posed_002", "0001", "eva")
    assert lost == []


def test_the_unit_where_no_scale_is_given(tmp_path):
    values = parameters() | {"transl": np.array(TRANSL) / SCALE}
    del values["scale"]
    for name, factor in (("a", 1.0), ("b", 100.0), ("c", 1000.0)):
        write_scan(tmp_path / "in" / f"{name}.obj", factor=factor / SCALE)
        (tmp_path / "in" / f"{name}.npz").write_bytes(npz(values))
    people = convert_people(tmp_path / "in", tmp_path / "out", ConvertOptions(member=SMALL))
    assert people.names == ("a", "b", "c")
    heights = [float(people.member(number).surface[..., 1].amax()) for number in range(3)]
    assert heights == pytest.approx([heights[0]] * 3, abs=0.02)


def test_parameters_of_another_scan_are_noticed(tmp_path):
    for name in ("a", "b", "c"):
        write_scan(tmp_path / "in" / f"{name}.obj")
        (tmp_path / "in" / f"{name}.npz").write_bytes(npz(parameters()))
    (tmp_path / "in" / "b.npz").write_bytes(npz(parameters() | {"transl": np.zeros(3)}))
    people = convert_people(tmp_path / "in", tmp_path / "out", ConvertOptions(member=SMALL))
    ((name, reason),) = people.skipped
    assert name == "b"
    assert "cm from the scan on average" in reason
    with pytest.raises(InputError, match="--up is for scans alone"):
        convert_people(tmp_path / "in", tmp_path / "other", ConvertOptions(up="z"))


def test_without_the_body_model_it_is_told_where_to_get_it(tmp_path, monkeypatch):
    write_thuman(tmp_path / "thuman")
    monkeypatch.setenv("AVATARS_MODELS", str(tmp_path / "none"))
    with pytest.raises(InputError, match=r"No neutral smpl model.*avatars models add"):
        convert_people(tmp_path / "thuman", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_scans_of_one_person_are_registered(tmp_path):
    save(tmp_path / "anna", *rough_scans()[:1], chair())
    member, notes = read_scanned(ScannedPerson("anna", tmp_path / "anna"), load_anny(), 24, "auto", "auto", SMALL)
    assert len(member) == 1
    assert ["chair" in note for note in notes] == [True]
    body = load_anny().body(member.betas)
    posed = body.pose_vertices(member.poses[0], member.translations[0])
    assert Surface(posed, body.faces).closest(member.surface[0]).distance.mean() < 0.004
    poses, places = natural_poses(person())
    truth = person().pose_joints(poses[0], places[0])
    assert (body.pose_joints(member.poses[0], member.translations[0]) - truth).norm(dim=-1).mean() < 0.03


def test_who_is_no_person_is_told_in_a_line(tmp_path):
    vertices, faces = ball_mesh()
    save(tmp_path, chair(), Scan("ball", vertices.numpy(), faces.numpy()))
    for name, message in (
        ("chair", r"^chair\.ply: only 72 sound faces[^\n]*$"),
        ("ball", r"^its volume of 5\d\d[^\n]*$"),
    ):
        with pytest.raises(InputError, match=message):
            read_scanned(ScannedPerson(name, tmp_path / f"{name}.ply"), load_anny(), 24, "auto", "auto", SMALL)


def test_betas_of_a_body_are_found_under_clothes():
    betas = torch.tensor([0.4, -0.5, 0.3, 0.2])
    model = load_anny()
    bare = model.body(betas)
    torch.testing.assert_close(nearest_betas(model, bare, 4), betas, atol=0.03, rtol=0)
    normals = Surface(bare.vertices, bare.faces).vertex_normals
    trunk = bare.skinning_weights[:, :10].sum(1) > 0.5
    dressed = dataclasses.replace(bare, vertices=bare.vertices + 0.015 * trunk[:, None] * normals)
    found = model.body(nearest_betas(model, dressed, 24))
    assert (found.joints - bare.joints).norm(dim=-1).mean() < 0.01


def test_a_folder_or_a_file_is_a_person(tmp_path):
    for name in ("anna/1.obj", "anna/2.ply", "bert/deep/1.obj", "carl/a/1.obj", "carl/b/1.obj", "dora.glb", ".x/1.obj"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    (tmp_path / "notes.txt").write_text("")
    found = {person.name: person.source.relative_to(tmp_path).as_posix() for person in find_people(tmp_path)}
    assert found == {"dora": "dora.glb", "anna": "anna", "bert": "bert/deep", "carl.a": "carl/a", "carl.b": "carl/b"}


@pytest.fixture
def registered(monkeypatch):
    """Stands in for registration: balls, but no person called chair; hears who was read."""
    calls = []

    def read(person, model, betas_count, unit, up, options):
        calls.append(person.name)
        if person.name == "chair":
            raise InputError("None of the scans could be registered to the body")
        bones = len(model.skeleton)
        where = (torch.zeros(1, bones, 3), torch.zeros(1, 3), torch.tensor([[0.0, 1.0, 0.0]]))
        return make_member(person.name, [ball_mesh()], torch.zeros(betas_count), *where, options), ["a remark"]

    monkeypatch.setattr(convert, "read_scanned", read)
    return calls


def source_of(tmp_path, *names):
    for name in names:
        (tmp_path / "source" / name).mkdir(parents=True)
        (tmp_path / "source" / name / "1.obj").write_text("")
    return tmp_path / "source"


def test_scans_of_many_people(tmp_path, registered):
    source = source_of(tmp_path, "anna", "bert", "chair")
    people = convert_people(source, tmp_path / "out", ConvertOptions(betas=5, member=SMALL))
    assert (people.names, people.body_model, people.betas_count) == (("anna", "bert"), "anny", 5)
    assert [name for name, _ in people.skipped] == ["chair"]
    assert people.notes == ("made from source (scans)", "a remark", "a remark")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["members", "people.json"]


def test_interrupted_work_is_gone_on_with(tmp_path, registered, monkeypatch):
    source, out = source_of(tmp_path, "anna", "bert", "carl"), tmp_path / "out"
    options = ConvertOptions(member=SMALL)
    monkeypatch.setattr(convert, "BATCH", 1)

    def stop(title, done, total):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_people(source, out, options, progress=stop)
    with pytest.raises(InputError, match="not written to its end"):
        read_people(out)
    path = out / member_file("anna")
    path.write_bytes(path.read_bytes()[:-10])
    (out / "members" / ".carl.12345678.safetensors").write_text("left by a killed run")
    registered.clear()
    assert len(convert_people(source, out, options)) == 3
    assert sorted(registered) == ["anna", "carl"]
    assert len(list((out / "members").iterdir())) == 3


def test_other_options_begin_anew(tmp_path, registered, monkeypatch):
    source, out = source_of(tmp_path, "anna", "chair"), tmp_path / "out"
    with pytest.raises(InputError, match=r"1 usable person(.|\n)*chair"):
        convert_people(source, out, ConvertOptions(member=SMALL))
    source_of(tmp_path, "bert")
    registered.clear()
    convert_people(source, out, ConvertOptions(betas=3, member=SMALL))
    assert sorted(registered) == ["anna", "bert", "chair"]


def test_a_finished_dataset_is_replaced_when_asked_only(tmp_path, registered):
    source, out = source_of(tmp_path, "anna", "bert"), tmp_path / "out"
    options = ConvertOptions(member=SMALL)
    convert_people(source, out, options)
    with pytest.raises(InputError, match="add --overwrite"):
        convert_people(source, out, options)
    registered.clear()
    convert_people(source, out, options, overwrite=True)
    assert sorted(registered) == ["anna", "bert"]


def test_places_that_cannot_be_used(tmp_path, registered):
    source = source_of(tmp_path, "anna", "bert")
    with pytest.raises(InputError, match="holds other files"):
        convert_people(source, source)
    with pytest.raises(InputError, match="is a file"):
        convert_people(source, source / "anna" / "1.obj")
    with pytest.raises(InputError, match="No folder at"):
        convert_people(tmp_path / "none", tmp_path / "out")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="No scans in"):
        convert_people(tmp_path / "empty", tmp_path / "out")
    with pytest.raises(InputError, match="No scans with SMPL parameters"):
        convert_people(source, tmp_path / "out", ConvertOptions(kind="thuman"))
    convert_people(source, tmp_path / "out", ConvertOptions(member=SMALL))
    with pytest.raises(InputError, match="a dataset of people already"):
        convert_people(tmp_path / "out", tmp_path / "again")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "renderpeople"}, "no kind of folder 'renderpeople'"),
        ({"unit": "km"}, "no unit 'km'"),
        ({"up": "x"}, "no up axis 'x'"),
        ({"betas": 0}, "0 betas"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(InputError, match=message):
        ConvertOptions(**options)
