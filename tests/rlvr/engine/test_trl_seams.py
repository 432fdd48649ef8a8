"""The private methods of TRL that `rlvr.engine.trainer` overrides: a new TRL that changes one fails here first."""

import inspect

import pytest
from trl.trainer.grpo_trainer import GRPOTrainer

from rlvr.engine.trainer import GroupTrainer

SIGNATURES = {
    "_generate_single_turn": [
        "self",
        "prompt_ids",
        "images",
        "multimodal_fields",
        "num_generations",
        "has_tool_images",
    ],
    "_calculate_rewards": ["self", "inputs", "prompts", "completions", "completion_ids_list"],
    "_generate_and_score_completions": ["self", "inputs"],
    "_get_per_token_logps_and_entropies": [
        "self",
        "model",
        "input_ids",
        "attention_mask",
        "logits_to_keep",
        "batch_size",
        "compute_entropy",
        "compute_aux_loss",
        "pixel_values",
        "image_grid_thw",
        "num_images",
        "pixel_attention_mask",
        "spatial_shapes",
        "num_tiles",
        "image_sizes",
        "token_type_ids",
        "mm_token_type_ids",
        "image_position_ids",
    ],
    "_prepare_inputs": ["self", "generation_batch"],
    "_compute_loss": ["self", "model", "inputs"],
    "_tokenize_prompts": ["self", "prompts"],
    "_log_metric": ["self", "name", "value"],
    "_log_completion_extra": ["self", "column", "values"],
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_trl_still_has_the_seam_we_use(name):
    assert list(inspect.signature(getattr(GRPOTrainer, name)).parameters) == SIGNATURES[name]


def test_every_private_method_we_override_is_listed():
    theirs = {name for name in vars(GRPOTrainer) if name.startswith("_") and not name.startswith("__")}
    ours = {name for name in vars(GroupTrainer) if name in theirs}
    assert {name for name in ours if callable(getattr(GRPOTrainer, name))} <= set(SIGNATURES)


def test_trl_generates_and_scores_through_the_seams():
    source = inspect.getsource(GRPOTrainer._generate) + inspect.getsource(GRPOTrainer._generate_and_score_completions)
    assert "self._generate_single_turn(" in source
    assert "self._calculate_rewards(" in source
