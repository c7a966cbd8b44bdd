"""Verbs about the body and head models that the user has. Imports wait until a verb runs, so that help is quick."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

if TYPE_CHECKING:
    from body_models.licensed.library import Entry
    from body_models.licensed.recognise import Skipped


@dataclass(frozen=True)
class Add:
    """Convert official downloads (SMPL, SMPL-H, SMPL-X, FLAME, ICT-FaceKit) and keep them; nothing in them is run."""

    path: tyro.conf.Positional[Path]
    """A downloaded pkl, npz, zip or tar file, or a folder of them."""
    gender: str | None = None
    """neutral, female or male, for files whose name does not tell."""

    def run(self) -> str:
        """Store the models and tell which they are."""
        from body_models.licensed.library import add_and_report

        added, skipped = add_and_report(self.path, self.gender)
        lines = [f"{model.family} {model.gender}: {model.source} -> {model.path}" for model in added]
        return "\n".join([*lines, *(f"Left aside: {_reason(entry)}" for entry in skipped)])


@dataclass(frozen=True)
class List:
    """Show which models are there, and where each missing one is obtained."""

    def run(self) -> str:
        """One line a model."""
        from body_models.licensed.library import list_models, models_folder

        entries = list_models()
        names = [f"{entry.family} {entry.gender}".rstrip() for entry in entries]
        width = max(map(len, names))
        lines = [f"{name:<{width}}  {_state(entry)}" for name, entry in zip(names, entries, strict=True)]
        return "\n".join([f"Models in {models_folder()}:", *lines, "Add a download with: avatars models add PATH"])


def _reason(entry: "Skipped") -> str:
    """Why a file was left aside, its name once."""
    return entry.reason if entry.reason.startswith(entry.source) else f"{entry.source}: {entry.reason}"


def _state(entry: "Entry") -> str:
    if entry.path is not None:
        return f"there     {entry.path.name}"
    return "there     built in" if entry.there else f"missing   from {entry.obtained}"


@dataclass(frozen=True)
class Models:
    """Keep the body and head models that need a licence, or show them."""

    verb: tyro.conf.OmitArgPrefixes[
        Annotated[Add, tyro.conf.subcommand("add", prefix_name=False)]
        | Annotated[List, tyro.conf.subcommand("list", prefix_name=False)]
    ]

    def run(self) -> str:
        """Run the verb."""
        return self.verb.run()
