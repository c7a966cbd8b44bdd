"""Take a head avatar through 40 expressions: `python scripts/sweep_head.py AVATAR DATA [--out sheet.png]`.

DATA is the dataset that it was fitted to (`avatars prepare`): it knows the tracked person, whose own lips and lids the
avatar's are compared with. Prints a row for every pose and a verdict for every bar; `--out` writes a contact sheet.
Ends with 1 when a bar is not kept.
"""

import argparse
import sys
from pathlib import Path

from avatars.assess.sweep import Sweep, SweptHead, sweep
from avatars.assess.sweep_poses import sweep_poses
from avatars.assess.sweep_sheet import sweep_sheet
from avatars.fit.video_frames import checked_body
from avatars.models.file import load_head
from avatars.models.head_prior import HeadPrior
from body_models import InputError
from data_prep.other_datasets import read_any_dataset
from data_prep.pictures import write_image


def main() -> None:
    """Sweep, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("avatar", type=Path, help="file of a head avatar")
    parser.add_argument("data", type=Path, help="folder of the dataset that it was fitted to")
    parser.add_argument("--out", type=Path, help="PNG of all poses: colours, normals (tears in red), the model")
    parser.add_argument("--count", type=int, default=40, help="number of poses")
    parser.add_argument("--seed", type=int, default=0, help="of the random combinations")
    parser.add_argument("--resolution", type=int, default=160, help="cells of the mesh along its longest edge")
    parser.add_argument("--size", type=int, default=200, help="of each picture (pixels)")
    given = parser.parse_args()
    try:
        passed = run(given)
    except InputError as error:
        sys.exit(str(error))
    sys.exit(0 if passed else 1)


def run(given: argparse.Namespace) -> bool:
    """Whether all bars are kept."""
    avatar = load_head(given.avatar)
    head = SweptHead(avatar, HeadPrior(checked_body(read_any_dataset(given.data))), given.resolution)
    expressions = avatar.model.sizes.expressions
    poses = sweep_poses(avatar.skeleton, avatar.expression_names, expressions, given.count, given.seed)
    found = sweep(head, poses, given.size)
    print_table(found)
    if given.out is not None:
        print(f"wrote {write_image(sweep_sheet(head, poses, given.size), given.out)}")
    return found.passed


def print_table(found: Sweep) -> None:
    """A row for each pose, then the verdicts."""
    print(f"{'pose':36s} {'floating':>9s} {'long':>7s} {'backs':>7s} {'holes':>7s} {'gashes':>7s}")
    for row in found.rows:
        shares = " ".join(f"{share:7.2%}" for share in (row.stretched, row.backs, row.holes, row.gashes))
        print(f"{row.pose.name:36s} {row.floating:9.3%} {shares}")
    for verdict in found.verdicts:
        print(f"{'pass' if verdict.passed else 'FAIL'}  {verdict.bar}: {verdict.found}")


if __name__ == "__main__":
    main()
