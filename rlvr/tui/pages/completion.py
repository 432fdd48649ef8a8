"""One completion, whole: what was asked, thought and answered, what each part made of it, token by token."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.widget import Widget

from rlvr.traces.rows import Row
from rlvr.traces.text import think_and_answer, visible
from rlvr.tui.ask import Note
from rlvr.tui.describe import (
    MOST_CHARACTERS,
    answer_runs,
    facts,
    json_block,
    parts_runs,
    prompt_blocks,
    text_blocks,
    turn_blocks,
)
from rlvr.tui.glyphs import number
from rlvr.tui.heat import Heat, alternatives_line, heat_runs, shade_legend, token_line
from rlvr.tui.lines import Piece
from rlvr.tui.prose import Block, Prose
from rlvr.tui.rowpage import RowPage
from rlvr.tui.session import Scope, Session
from rlvr.tui.tokens import Vocabulary, token_spans, vocabulary
from rlvr.tui.wrap import safe_runs


@dataclass
class _Folds:
    """What is folded, kept from one completion to the next."""

    think: bool = False
    prompt: bool = True


class CompletionPage(RowPage):
    """`[` and `]` go to the siblings; `h` shows what the sampler was sure of."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left_square_bracket",
            "beside(-1)",
            "sibling",
            key_display="[ ]",
            tooltip="the sibling before, the sibling after",
        ),
        Binding("right_square_bracket", "beside(1)", "", show=False),
        Binding("z", "fold('think')", "thought", tooltip="fold or open the thought"),
        Binding("p", "fold('prompt')", "prompt", tooltip="fold or open the prompt"),
        Binding("h", "heat", "heat", tooltip="heat of the tokens: by log-prob, by entropy, none"),
        Binding("left", "token(-1)", "token", key_display="← →", show=False, tooltip="with heat: from token to token"),
        Binding("right", "token(1)", "next token", show=False),
        Binding("n", "hit(1)", "next hit", show=False, tooltip="the next place where the search was found"),
        Binding("N", "hit(-1)", "hit before", show=False),
        Binding("t", "task", "task", tooltip="follow this task through training"),
    ]
    DEFAULT_CSS = """
    CompletionPage > #facts { height: 2; background: $surface; }
    CompletionPage > #token { height: 3; background: $surface; display: none; }
    """

    def __init__(self, session: Session, rows: Sequence[Row], at: int) -> None:
        super().__init__()
        self.session, self.rows, self.at = session, rows, at
        self.folds = _Folds()
        self.heat = Heat.NONE
        self._spans: list[tuple[int, int]] | None = None
        self._vocabulary: Vocabulary | None = None
        self._hit = -1

    def body(self) -> Iterable[Widget]:
        yield Note(id="facts")
        yield Prose()
        yield Note(id="token")

    def row(self) -> Row:
        return self.rows[self.at]

    def way(self) -> Sequence[str]:
        row = self.row()
        return [
            "runs",
            self.session.name,
            f"{row.stage} · {row.split}",
            f"step {row.step}",
            f"group {row.group}",
            f"sample {row.sample}",
        ]

    def state(self) -> Sequence[Piece]:
        return [*self.judgment_pieces(self.row()), (f" {self.at + 1} of {len(self.rows)} ", "dim")]

    def scope(self) -> Scope:
        return Scope.of_group(self.row().key, len(self.rows))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that would do nothing are not offered."""
        return len(self.rows) > 1 if action == "beside" else True

    def on_prose_folded(self, event: Prose.Folded) -> None:
        """What was folded by a click stays so."""
        if event.name == "think":
            self.folds.think = event.folded

    def on_mount(self) -> None:
        super().on_mount()
        self._put()
        if self.session.search:
            self.action_hit(1)

    def judged(self) -> None:
        self._put(keep_place=True)

    def _put(self, keep_place: bool = False) -> None:
        row = self.row()
        parts: list[Piece] = []
        for name, value in row.parts.items():
            failed = name in row.errors
            parts += [
                (f"{visible(name)} ", "dim"),
                ("error" if failed else number(value), "bad" if failed else ""),
                ("  ", ""),
            ]
        self.query_one("#facts", Note).put(facts(row), parts)
        self.query_one(Prose).show(list(self._blocks(row)), keep_place)
        self.head()

    def _blocks(self, row: Row) -> Iterable[Block]:
        yield from prompt_blocks(row, self.folds.prompt)
        yield from self._completion_blocks(row)
        if row.turns and not row.episode:
            yield from turn_blocks(row.turns)
        yield Block("gold", [("answer beside gold", "title")], list(answer_runs(row)))
        if row.parts or row.errors:
            yield Block("parts", [("parts", "title")], list(parts_runs(row)))
        if note := self.session.judgments.note_of(row):
            yield Block("note", [("note", "title")], list(safe_runs(note, "accent")))
        yield from json_block("info", row.info)
        yield from json_block("task", row.task)
        yield Block("origin", [("origin", "title")], [(_origin(row), "dim", -1)], True)

    def _completion_blocks(self, row: Row) -> Iterable[Block]:
        if self.heat != Heat.NONE and self._spans is not None:
            for block in heat_runs(row, self.heat, self._spans):
                block.folded = block.name == "think" and self.folds.think
                yield block
        elif row.episode:
            yield from turn_blocks(row.episode)
        else:
            yield from text_blocks(row.completion, self._hits(row), self.folds.think)

    def _hits(self, row: Row) -> list[tuple[int, int, str]]:
        """Where the last search stands in the text."""
        return [(start, end, "match") for start, end in self.session.spans(row.completion[:MOST_CHARACTERS])]

    def action_beside(self, by: int) -> None:
        at = self.at + by
        if not 0 <= at < len(self.rows):
            self.say("there is no further sibling", "dim")
            return
        self.at, self._spans = at, None
        self._hit = -1
        if self.heat != Heat.NONE:
            self._read_tokens()
        self._put()

    def action_fold(self, name: str) -> None:
        setattr(self.folds, name, not getattr(self.folds, name))
        self._put(keep_place=name == "think")

    def action_heat(self) -> None:
        row = self.row()
        there = [Heat.NONE, *([Heat.LOGPROB] if row.logprobs else []), *([Heat.ENTROPY] if row.entropies else [])]
        if len(there) == 1:
            self.say("neither log-probs nor entropies were recorded for this completion", "warn")
            return
        self.heat = there[(there.index(self.heat) + 1) % len(there)] if self.heat in there else there[0]
        if self.heat != Heat.NONE and self._spans is None:
            self._read_tokens()
        else:
            self._show_heat()

    def _read_tokens(self) -> None:
        row = self.row()

        def read(fetch: object) -> tuple[Vocabulary | None, list[tuple[int, int]] | None]:
            found = vocabulary(self.session.index.run, row.stage)
            return found, token_spans(found, row) if found else None

        def done(found: tuple[Vocabulary | None, list[tuple[int, int]] | None]) -> None:
            self._vocabulary, self._spans = found
            if self._spans is None:
                self.heat = Heat.NONE
                self.say("no heat: the run keeps no tokenizer.json that spells these tokens", "warn")
            self._show_heat()

        self.fetch("reading the tokenizer", read, done)

    def _show_heat(self) -> None:
        prose = self.query_one(Prose)
        self.query_one("#token", Note).display = self.heat != Heat.NONE
        prose.token = max(prose.token, 0) if self.heat != Heat.NONE else -1
        self._put(keep_place=True)
        if self.heat != Heat.NONE:
            self.action_token(0)

    def action_token(self, by: int) -> None:
        row, prose = self.row(), self.query_one(Prose)
        if self.heat == Heat.NONE or not row.token_ids:
            return
        token = max(0, min(prose.token + by, len(row.token_ids) - 1))
        while not _is_own(row, token) and 0 < token < len(row.token_ids) - 1:  # past what the environment said
            token += by or 1
        prose.to_token(token)
        self.query_one("#token", Note).put(
            token_line(row, prose.token, self._spans or []),
            alternatives_line(row, prose.token, self._vocabulary),
            shade_legend(self.heat),
        )

    def action_hit(self, by: int) -> None:
        hits = self._hits(self.row())
        if not hits:
            if self.session.search:
                self.say(f"{self.session.search.text} is not in this completion", "dim")
            return
        self._hit = (self._hit + by) % len(hits)
        start, end, _ = hits[self._hit]
        if self.folds.think and start < len(think_and_answer(self.row().completion)[0]):
            self.folds.think = False
        spans = [(s, e, "match token" if (s, e) == (start, end) else names) for s, e, names in hits]
        row, prose = self.row(), self.query_one(Prose)
        blocks = [b for b in self._blocks(row) if b.name not in ("think", "answer", "more")]
        num_before = sum(1 for block in blocks if block.name == "prompt")
        prose.show(
            [*blocks[:num_before], *text_blocks(row.completion, spans, self.folds.think), *blocks[num_before:]],
            keep_place=True,
        )
        prose.to_run("match token")
        if len(hits) > 1:
            self.say(f"{self._hit + 1} of {len(hits)}", "dim")

    def action_task(self) -> None:
        from rlvr.tui.pages.task import open_task

        open_task(self, self.session, self.row().task_id, self.row().stage)


def _is_own(row: Row, token: int) -> bool:
    """Whether the model said a token, so that something was recorded of it."""
    return not row.logprobs or token >= len(row.logprobs) or row.logprobs[token] is not None


def _origin(row: Row) -> str:
    """Where it comes from, as `name  value` lines."""
    named = {
        "environment": row.env,
        "task id": row.task_id,
        "seed": row.seed,
        "policy version": row.policy_version,
        "prompt tokens": row.prompt_tokens,
        "seconds to sample": number(row.sample_s),
        "seconds to score": number(row.reward_s),
    }
    return "\n".join(f"{name.ljust(18)} {visible(str(value))}" for name, value in named.items() if value is not None)
