"""Models whose numbers are none: found before anything is made with them."""

from typing import Any

from dataset_assets.models.weight_files import ModelError


def require_finite_weights(model: Any, name: str, block: str) -> None:
    """Refuse weights with NaN or infinity among them. Raises: ModelError naming the first such tensor."""
    for tensor_name, tensor in model.named_parameters():
        if not bool(tensor.isfinite().all()):
            raise ModelError(
                f"{block}.model: the weights of {name} hold NaN or infinity ({tensor_name}); copy or fetch them again"
            )


def require_finite_output(is_finite: bool, name: str, block: str) -> None:
    """Refuse a model that gives no numbers for a blank picture. Raises: ModelError."""
    if not is_finite:
        raise ModelError(
            f"{block}.model: {name} gives NaN or infinity for a blank picture, so it would for others; "
            f"use other weights, or set {block}.precision: fp32"
        )
