"""Two or three completions side by side, what differs marked: siblings, a task's first and last answer, two runs."""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.rows import Row
from rlvr.traces.text import think_and_answer, visible
from rlvr.tui.describe import capped, parsed, parts_runs, solved
from rlvr.tui.differences import Span, marked
from rlvr.tui.glyphs import number
from rlvr.tui.lines import Piece
from rlvr.tui.page import Page
from rlvr.tui.prose import Block
from rlvr.tui.session import Scope, Session
from rlvr.tui.side import SideBySide
from rlvr.tui.wrap import Run, marked_runs, safe_runs


class ComparePage(Page):
    """`1`, `2`, `3` pick the winner, where they are siblings.

    Args:
        rows: Two or three.
        names: What stands over each; by default its number in the group.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "1", "winner(0)", "wins", key_display="1 2 3", tooltip="this one is the better answer: kept beside the run"
        ),
        Binding("2", "winner(1)", "the second wins", show=False),
        Binding("3", "winner(2)", "the third wins", show=False),
        Binding("0", "winner(-1)", "no winner", show=False, tooltip="take the winner back"),
        Binding("d", "marks", "differences", tooltip="show what differs, or not"),
        Binding("plus,equals_sign,minus", "no_mark", show=False),
    ]

    def __init__(
        self, session: Session, rows: Sequence[Row], names: Sequence[str] = (), way: Sequence[str] = ()
    ) -> None:
        super().__init__()
        self.session, self.rows = session, rows
        self.names = names or [f"sample {row.sample}" for row in rows]
        self.are_siblings = not names
        self._way = way
        self._shows_differences = True
        self._differences: list[list[Span]] = [[] for _ in rows]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Winners are picked among siblings only."""
        if action == "winner":
            return self.are_siblings and (not parameters or int(str(parameters[0])) < len(self.rows))
        return True

    def scope(self) -> Scope | None:
        return Scope.of_group(self.rows[0].key) if self.are_siblings else None

    def body(self) -> Iterable[Widget]:
        yield SideBySide()

    def way(self) -> Sequence[str]:
        first = self.rows[0]
        return self._way or [
            "runs",
            self.session.name,
            f"{first.stage} · {first.split}",
            f"step {first.step}",
            f"group {first.group}",
            "side by side",
        ]

    def on_mount(self) -> None:
        super().on_mount()
        self._show()
        texts = [capped(row.completion)[0] for row in self.rows]
        self.fetch("comparing", lambda fetch: marked(texts), self._mark)

    def _mark(self, differences: list[list[Span]]) -> None:
        self._differences = differences
        self._show()

    def _show(self) -> None:
        self.query_one(SideBySide).show([list(self._blocks(at)) for at in range(len(self.rows))])
        self.head()

    def _blocks(self, at: int) -> Iterable[Block]:
        row = self.rows[at]
        yield Block("head", self._title(at), [(text, names, -1) for text, names in _facts(row)])
        text, more = capped(row.completion)
        cut = len(think_and_answer(text)[0])
        look = "differs" if self._shows_differences else ""
        spans = [(start, end, look) for start, end in self._differences[at]]
        yield Block("think", [("think", "title")], _slice_runs(text, spans, 0, cut, "think"))
        yield Block(
            "answer",
            [("answer", "title")],
            _slice_runs(text, spans, cut, len(text), "") + ([(f"\n{more}", "warn", -1)] if more else []),
        )
        yield Block("parsed", [("parsed", "title")], list(safe_runs(parsed(row.completion) or "(none)", "bold")))
        if at == 0 or not self.are_siblings:
            yield Block("gold", [("gold", "title")], list(safe_runs(parsed(row.gold) or "(none recorded)", "good")))
        else:
            yield Block("gold")
        yield Block("parts", [("parts", "title")], list(parts_runs(row)))

    def _title(self, at: int) -> list[Piece]:
        won = self._winner() == at
        return [(f"{at + 1} ", "key"), (visible(self.names[at]), "title"), ("  ★ winner" if won else "", "warn bold")]

    def _winner(self) -> int | None:
        """Which of the rows won over another of them."""
        if not self.are_siblings:
            return None
        samples = {row.sample: at for at, row in enumerate(self.rows)}
        for winner in self.session.judgments.winners_of(self.rows[0].key):
            if winner.chosen.sample in samples and winner.rejected.sample in samples:
                return samples[winner.chosen.sample]
        return None

    def action_winner(self, at: int) -> None:
        """Keeps which one is the best, over each of the others; -1 takes it back."""
        judgments = self.session.judgments
        best = self.rows[at] if at >= 0 else None
        try:
            for one in range(len(self.rows)):
                for other in range(one + 1, len(self.rows)):
                    judgments.no_preference(self.rows[one], self.rows[other])
            for row in self.rows if best else ():
                if row is not best and best:
                    judgments.prefer(best, row)
        except ValueError as error:  # UserError
            self.say(str(error), "bad")
            return
        self.say(f"{self.names[at]} wins: e exports the pairs" if best else "no winner", "good")
        self._show()

    def action_no_mark(self) -> None:
        """Says why a mark is not set: there are several completions that it could be meant for."""
        how = "here 1, 2, 3 pick the winner; " if self.are_siblings else ""
        self.say(f"{how}+ and - mark one completion on its own page", "warn")

    def action_marks(self) -> None:
        self._shows_differences = not self._shows_differences
        self._show()


def _facts(row: Row) -> list[Piece]:
    pieces: list[Piece] = [("reward ", "dim"), (number(row.reward), "bold"), ("  ", ""), solved(row), ("  ", "")]
    if row.advantage is not None:
        pieces.append((f"{row.advantage:+.2f}  ", "good" if row.advantage > 0 else "bad"))
    return [*pieces, (f"{row.completion_tokens or '–'} tokens, {visible(row.finish_reason or '–')}", "dim")]


def _slice_runs(text: str, spans: Sequence[tuple[int, int, str]], start: int, stop: int, names: str) -> list[Run]:
    """A stretch of the text as runs, with the spans in it."""
    inside = [(max(s, start) - start, min(e, stop) - start, look) for s, e, look in spans if s < stop and e > start]
    return list(marked_runs(text[start:stop], inside, names)) if stop > start else []
