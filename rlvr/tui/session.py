"""One opened run, and what is remembered while it is open: whether it is followed, what was searched, judgments."""

from dataclasses import dataclass, field

from rlvr.traces.index import TraceIndex
from rlvr.traces.judgments import Judgments
from rlvr.traces.rows import GroupKey, Row
from rlvr.traces.search import Search

MOST_SIBLINGS = 1000


@dataclass(frozen=True)
class Start:
    """Where to open a run, as far as it is given: a stage and split, a step of it, a group of that."""

    stage: str | None = None
    split: str | None = None
    step: int | None = None
    group: int | None = None


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

    def rows(self, key: GroupKey, sample: int = 0) -> list[Row]:
        """The siblings of a group; of a very large one, `MOST_SIBLINGS` around one of them."""
        return self.index.rows(key, MOST_SIBLINGS, sample)

    def newest(self, stage: str, split: str) -> int | None:
        """The newest step of a stage and split; `None` where it has none."""
        return max((s.step for s in self.index.steps() if (s.stage, s.split) == (stage, split)), default=None)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the last search stands in a text."""
        return self.search.spans(text) if self.search else []
