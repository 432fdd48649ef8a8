"""What lies beside a GGUF file: a `Modelfile` for Ollama, and `RUN.md`, how to run it where.

Ollama reads no Jinja: it compares the file's template with those it knows and else falls back to plain text. So the
Modelfile carries the template in Ollama's own language (Go's), and the texts that end a turn.
"""

import json
from collections.abc import Sequence

from rlvr.gguf.turns import Turns


def modelfile(
    file_name: str, turns: Turns | None, stops: Sequence[str], context_length: int, temperature: float
) -> str:
    """The Modelfile of one file.

    Args:
        file_name: Of the GGUF file beside it.
        turns: The template as fixed texts; `None` leaves Ollama to recognise the file's own.
        stops: The texts that end a turn.
        context_length: Of the model, in tokens.
        temperature: That it was measured with.
    """
    lines = [
        "# ollama create NAME -f Modelfile",
        f"FROM ./{file_name}",
        *(_template(turns) if turns else _NO_TEMPLATE),
        *(f"PARAMETER stop {json.dumps(stop)}" for stop in stops),
        f"PARAMETER num_ctx {context_length}",
        f"PARAMETER temperature {temperature:g}",
        "PARAMETER top_k 0",
        "PARAMETER top_p 1",
        "PARAMETER min_p 0",
        "PARAMETER repeat_penalty 1",
    ]
    return "\n".join(lines) + "\n"


_NO_TEMPLATE = (
    "# This model's chat template has more logic than texts around messages: Ollama uses the one in the file where it",
    "# knows it. Compare a few answers before you rely on it, or use llama.cpp, which runs the template itself.",
)


def _template(turns: Turns) -> list[str]:
    """Go's template language; a text is written as a Go string, so that nothing in it is read as code."""
    roles = [
        f"{{{{- {'if' if number == 0 else 'else if'} eq .Role {_go(role)} }}}}"
        f"{{{{ {_go(start)} }}}}{{{{ .Content }}}}{{{{ {_go(end)} }}}}"
        for number, (role, (start, end)) in enumerate(turns.around.items())
    ]
    body = [
        f"{{{{- {_go(turns.lead)} }}}}" if turns.lead else "",
        "{{- range .Messages }}",
        *roles,
        "{{- end }}",
        "{{- end }}",
        f"{{{{- {_go(turns.opening)} }}}}",
    ]
    system = [f'SYSTEM """{turns.default_system}"""'] if turns.default_system else []
    return ['TEMPLATE """' + "\n".join(line for line in body if line) + '"""', *system]


def _go(text: str) -> str:
    """A Go string; JSON's escapes are Go's."""
    return json.dumps(text, ensure_ascii=False)


def run_notes(
    name: str,
    files: Sequence[str],
    proofs: Sequence[str],
    context_length: int,
    temperature: float,
    measured_by: str,
) -> str:
    """RUN.md.

    Args:
        name: The model's.
        files: The GGUF files' names, the first the one that the commands show.
        proofs: A line a file: what was compared, or that nothing was.
        context_length: Of the model, in tokens.
        temperature: That it was measured with.
        measured_by: Options of `rlvr eval` that measure it again.
    """
    file = files[0]
    sampling = f"--temp {temperature:g} --top-k 0 --top-p 1 --min-p 0"
    return f"""# {name}: how to run it

{chr(10).join(f"- `{file}`: {proof}" for file, proof in zip(files, proofs, strict=True))}

The chat template is in every file. Programs cut the distribution off unless told not to (top-k 40, min-p 0.05 in
llama.cpp); the settings below are those that the model was measured with. The context is {context_length} tokens.

## llama.cpp

```bash
llama-cli -m {file} --jinja {sampling}
llama-server -m {file} --jinja --port 8080 {sampling}     # http://localhost:8080
```

## Ollama

```bash
ollama create {name.lower()} -f Modelfile
ollama run {name.lower()}
```

## A phone

Copy `{file}` to the phone and open it in an app that runs GGUF files with llama.cpp, such as PocketPal (Android, iOS)
or ChatterUI (Android). Take the chat template from the file where the app asks, and set temperature {temperature:g},
top-k 0, top-p 1, min-p 0. Of several files the smallest whose score held is the one to take.

## vLLM

vLLM serves the Hugging Face folder that the files were made from, not the files:

```bash
vllm serve MODEL_FOLDER --port 8000
```

## Measuring it again

```bash
rlvr eval --model {file} {measured_by}
rlvr eval --model http://localhost:8080/v1 {measured_by}
```
"""
