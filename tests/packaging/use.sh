#!/usr/bin/env bash
# Run by check.sh among decoys, with the installed `rlvr` first on the PATH: the commands that need no torch.
set -euo pipefail
trap 'echo "failed: $BASH_COMMAND" >&2' ERR
out=$1
mkdir -p "$out"
rlvr --help >/dev/null
rlvr --version >/dev/null
rlvr doctor >/dev/null
rlvr envs | grep arithmetic >/dev/null
rlvr rewards | grep exact_number >/dev/null
echo '{"task": {"question": "1+2", "answer": "3"}, "completion": "<think>1+2</think><answer>3</answer>"}' >"$out/in.jsonl"
rlvr score --env arithmetic --input "$out/in.jsonl" --output "$out/out.jsonl"
grep -q '"success": true' "$out/out.jsonl"
rlvr new env digit_sum --dir "$out" >/dev/null
rlvr envs "$out/digit_sum.py:DigitSum" --n 5 | grep gold >/dev/null
