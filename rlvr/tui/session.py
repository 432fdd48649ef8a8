"""One opened run, and what is remembered while it is open: whether it is followed, what was searched, judgments."""

from dataclasses import dataclass, field

from rlvr.traces.index import TraceIndex
from rlvr.traces.judgments import Judgments
from rlvr.traces.rows import GroupKey, Row
from rlvr.traces.search import Search
from rlvr.traces.selection import Only
from rlvr.traces.text import counted

MOST_SIBLINGS = 1000


@dataclass(frozen=True)
class Start:
    """Where to open a run, as far as it is given: a stage and split, a step of it, a group of that."""

    stage: str | None = None
    split: str | None = None
    step: int | None = None
    group: int | None = None


@dataclass(frozen=True)
class Scope:
    """Some rows of a run.

    Attributes:
        label: In words, such as `this group`.
        name: For a file's name, such as `step4-group1`.
        num_rows: How many there are, as far as that is known.
        only: Which.
    """

    label: str
    name: str
    num_rows: int | None
    only: Only

    @classmethod
    def of_group(cls, key: GroupKey, num_rows: int | None = None) -> "Scope":
        """The completions of a group."""
        return cls("this group", f"{key.stage}-{key.split}-step{key.step}-group{key.group}", num_rows, key)


def best_answer(index: TraceIndex, key: GroupKey) -> Row | None:
    """The completion of a group with the highest reward; `None` where none can be read."""
    rows = index.rows(key, MOST_SIBLINGS)
    return max(rows, key=lambda row: (row.reward is not None, row.reward or 0.0), default=None)


@dataclass
class Session:
    """A run under the eyes of one person.

    Attributes:
        index: What was sampled.
        follow: Whether pages go to the newest step by themselves.
        search: The last search; shown where it stands.
        filter: The last filter line.
    """

    index: TraceIndex
    follow: bool = False
    search: Search | None = None
    filter: str = ""
    judgments: Judgments = field(init=False)

    def __post_init__(self) -> None:
        self.judgments = Judgments(self.index.home, self.index.prefix)

    @property
    def name(self) -> str:
        """Of the run."""
        return self.index.name

    @property
    def problems(self) -> list[str]:
        """What could not be read of the run or of its judgments, a line each."""
        unread, name = self.judgments.num_unread, self.judgments.path.name
        lines = [f"{counted(unread, 'line')} of {name}: no judgment that this version knows"] if unread else []
        return [*self.index.problems, *lines]

    def rows(self, key: GroupKey, sample: int = 0) -> list[Row]:
        """The siblings of a group; of a very large one, `MOST_SIBLINGS` around one of them."""
        return self.index.rows(key, MOST_SIBLINGS, sample)

    def newest(self, stage: str, split: str) -> int | None:
        """The newest step of a stage and split; `None` where it has none."""
        return max((s.step for s in self.index.steps() if (s.stage, s.split) == (stage, split)), default=None)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the last search stands in a text."""
        return self.search.spans(text) if self.search else []
