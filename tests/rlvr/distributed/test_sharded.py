"""A model that torch's `fully_shard` deals out to two processes (gloo) does in our code what the whole model does."""

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]

SCRIPT = """
import torch
import torch.distributed as dist
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict, set_model_state_dict
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor
from transformers import Qwen3Config, Qwen3ForCausalLM
from trl.trainer.utils import add_fused_lm_head

from rlvr.engine.passes import trimmed_log_probs
from rlvr.engine.sampling import Request, SamplingParams
from rlvr.engine.sharded import held_whole, is_sharded
from rlvr.engine.torch_sampler import TorchSampler
from rlvr.engine.vllm_weights import named_weights

dist.init_process_group("gloo")
rank = dist.get_rank()

def made():
    torch.manual_seed(0)
    model = Qwen3ForCausalLM(Qwen3Config(
        vocab_size=97, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=1, head_dim=16, tie_word_embeddings=TIED, max_position_embeddings=256))
    add_fused_lm_head(model)
    return model

whole, sharded = made(), made()
for layer in sharded.model.layers:
    fully_shard(layer)
fully_shard(sharded)
assert is_sharded(sharded) and not is_sharded(whole)
assert all(isinstance(weight, DTensor) for weight in sharded.parameters())

def same(name, found, wanted, tolerance=1e-5):
    torch.testing.assert_close(found, wanted, atol=tolerance, rtol=0, msg=lambda text: f"{name}: {text}")
    if rank == 0:
        print("same:", name)

# Sampling: of one process eight completions, of the other two, which is done much earlier.
params = SamplingParams(max_new_tokens=40 if rank == 0 else 3)
requests = [Request([5, 6, 7 + number], [10 * rank + number, 99 + number]) for number in range(4 if rank == 0 else 1)]
expected = TorchSampler(whole, [3], 0).sample(requests, params)
with held_whole(sharded):
    sampled = TorchSampler(sharded, [3], 0).sample(requests, params)
assert [[c.token_ids for c in g] for g in sampled] == [[c.token_ids for c in g] for g in expected]
same("samples", torch.tensor(sampled[0][0].logprobs), torch.tensor(expected[0][0].logprobs))

# Hand-over: under its own name, each weight whole.
with held_whole(sharded):
    handed = {name: weight.clone() for name, weight in named_weights(sharded)}
assert handed.keys() == dict(whole.named_parameters()).keys()
for name, weight in whole.named_parameters():
    assert torch.equal(handed[name], weight), name
assert all(isinstance(weight, DTensor) for weight in sharded.parameters())

# Log-probs of completions and their gradients, as the update takes them.
torch.manual_seed(1)
ids_BT, mask_BT = torch.randint(4, 97, (4, 20)), torch.ones(4, 20, dtype=torch.long)
ids_BT[2:, :8], mask_BT[:2, :3] = ids_BT[2, :8].clone(), 0
mask_BT[1, 15:] = 0
wanted, _ = trimmed_log_probs(whole, ids_BT, mask_BT, 12, None, 1000)
got, _ = trimmed_log_probs(sharded, ids_BT, mask_BT, 12, None, 1000)
same("log-probs", got, wanted)
(wanted.sum() / 10).backward()
(got.sum() / 10).backward()
for (name, weight), shard in zip(whole.named_parameters(), sharded.parameters()):
    torch.testing.assert_close(shard.grad.full_tensor(), weight.grad, atol=1e-5, rtol=0)
if rank == 0:
    print("same: gradients")

# A step, a checkpoint of all weights, and a model that takes it.
optimizer = torch.optim.AdamW(sharded.parameters(), lr=0.1)
optimizer.step()
full = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True)
state = get_model_state_dict(sharded, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
assert bool(state) == (rank == 0)
torch.optim.AdamW(whole.parameters(), lr=0.1).step()
if rank == 0:
    for name, weight in whole.state_dict().items():
        torch.testing.assert_close(state[name], weight, atol=1e-5, rtol=0)
    print("same: checkpoint")
other = made()
for layer in other.model.layers:
    fully_shard(layer)
fully_shard(other)
set_model_state_dict(other, state, options=full)
with held_whole(other):
    for (name, weight), mine in zip(whole.named_parameters(), other.parameters()):
        torch.testing.assert_close(mine.data, weight.data, atol=1e-5, rtol=0)
if rank == 0:
    print("same: loaded")

# Weights that are no numbers in the shard of one process stop all of them before a checkpoint.
from transformers import TrainerControl, TrainerState

from rlvr.failure import WorkError
from rlvr.pipeline.callbacks import DivergenceGuard

with torch.no_grad():
    sharded.model.norm.weight.to_local().fill_(torch.nan if rank == 1 else 1.0)
stopped = False
try:
    DivergenceGuard("grpo").on_step_end(None, TrainerState(), TrainerControl(should_save=True), model=sharded)
except WorkError:
    stopped = True
of_all = [False, False]
dist.all_gather_object(of_all, stopped)
assert of_all == [True, True], of_all
if rank == 0:
    print("same: stopped")
dist.destroy_process_group()
"""


@pytest.mark.parametrize("tied", [True, False])
def test_a_sharded_model_samples_learns_saves_and_hands_over_as_a_whole_one(started_script, tied):
    done = started_script(SCRIPT.replace("TIED", str(tied)))
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line.removeprefix("same: ") for line in done.stdout.splitlines() if line.startswith("same: ")] == [
        "samples",
        "log-probs",
        "gradients",
        "checkpoint",
        "loaded",
        "stopped",
    ]
