"""GRPO: groups sampled, scored, and learned from. TRL's trainer with our sampler."""
