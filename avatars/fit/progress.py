"""A progress bar with elapsed time and ETA, or none."""

from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress


class Progress:
    """Bars for the stages of long work, on standard error; silent when `quiet`."""

    def __init__(self, quiet: bool = False) -> None:
        self.console = Console(stderr=True, quiet=quiet)
        self._bars = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[detail]}"),
            console=self.console,
        )
        self._stages: dict[str, TaskID] = {}

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars.live.is_started:
            self._bars.stop()

    def say(self, text: str) -> None:
        """One line above the bars."""
        self.console.print(text, markup=False, highlight=False)

    def start(self, title: str, total: int, done: int = 0) -> TaskID:
        """A new bar; the first one starts the display, so that an error before it stands alone."""
        self._bars.start()
        return self._bars.add_task(title, total=total, completed=done, detail="")

    def advance(self, task: TaskID, detail: str = "") -> None:
        """One step on."""
        self._bars.update(task, advance=1, detail=detail)

    def finish(self, task: TaskID) -> None:
        """The stage is done."""
        self._bars.update(task, completed=self._bars.tasks[task].total, refresh=True)

    def stage(self, title: str, done: int, total: int) -> None:
        """Report a stage by name, as registration does."""
        if title not in self._stages:
            self._stages[title] = self.start(title, total)
        self._bars.update(self._stages[title], completed=done, total=total)
