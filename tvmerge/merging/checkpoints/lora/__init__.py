"""LoRA adapters in peft's format as task vectors."""
