"""How a CoCa model of open_clip goes on with a caption, one token at a time.

open_clip's own `generate` needs a transformers of 2025, and reads the whole caption again for each token. Here keys and
values of what was read are kept, and those of the image are reckoned once.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

Pair = "tuple[torch.Tensor, torch.Tensor]"  # keys and values, (rows, heads, tokens, width of a head)


class CocaDecoder:
    """One batch of captions in the making; a `beam_search.Step`. Call it under `torch.inference_mode`."""

    def __init__(self, model: Any, image_tokens: "torch.Tensor", beams: int) -> None:
        """Start captions for images, by the (images, tokens, width) that the model's image side makes of them."""
        self._text, self._decoder = model.text, model.text_decoder
        own = [_keys_and_values(b, b.ln_1_kv(image_tokens)) for b in self._decoder.cross_attn]
        self._of_image = [tuple(part.repeat_interleave(beams, 0) for part in pair) for pair in own]
        layers = len(self._text.transformer.resblocks) + len(self._decoder.resblocks)
        self._read: list[Any] = [None] * layers
        self._length = 0

    def __call__(self, tokens: "torch.Tensor", parents: "torch.Tensor | None") -> "torch.Tensor":
        if parents is not None:
            self._read = [tuple(part.index_select(0, parents) for part in pair) for pair in self._read]
        dtype = self._text.transformer.get_cast_dtype()
        place = self._text.positional_embedding[self._length].to(dtype)
        x = (self._text.token_embedding(tokens).to(dtype) + place).unsqueeze(1)  # (rows, 1, width)
        self._length += 1
        layer = 0
        for block in self._text.transformer.resblocks:
            x = self._read_on(block, x, layer)
            layer += 1
        for block, cross, of_image in zip(
            self._decoder.resblocks, self._decoder.cross_attn, self._of_image, strict=True
        ):
            x = self._read_on(block, x, layer)
            x = _through(cross, x, of_image)
            layer += 1
        # In float32 whatever the weights: open_clip casts the other projections, and not this one.
        logits: torch.Tensor = self._decoder.ln_final(x)[:, 0].float() @ self._decoder.text_projection.float()
        return logits

    def _read_on(self, block: Any, x: "torch.Tensor", layer: int) -> "torch.Tensor":
        """A layer that looks at the caption's tokens up to this one."""
        import torch

        new = _keys_and_values(block, block.ln_1(x))
        before = self._read[layer]
        self._read[layer] = (
            new if before is None else tuple(torch.cat(parts, 2) for parts in zip(before, new, strict=True))
        )
        return _through(block, x, self._read[layer])


def _through(block: Any, x: "torch.Tensor", seen: Any) -> "torch.Tensor":
    """A residual layer of open_clip, with the keys and values that its attention looks at given."""
    import torch

    attention = block.attn
    width = attention.embed_dim
    query = torch.nn.functional.linear(block.ln_1(x), attention.in_proj_weight[:width], attention.in_proj_bias[:width])
    mixed = torch.nn.functional.scaled_dot_product_attention(_by_head(attention, query), *seen)
    x = x + block.ls_1(attention.out_proj(mixed.transpose(1, 2).flatten(2)))
    result: torch.Tensor = x + block.ls_2(block.mlp(block.ln_2(x)))
    return result


def _keys_and_values(block: Any, x: "torch.Tensor") -> Any:
    import torch

    attention = block.attn
    width = attention.embed_dim
    both = torch.nn.functional.linear(x, attention.in_proj_weight[width:], attention.in_proj_bias[width:])
    return tuple(_by_head(attention, part) for part in both.chunk(2, dim=-1))


def _by_head(attention: Any, x: "torch.Tensor") -> "torch.Tensor":
    """(rows, tokens, width) as (rows, heads, tokens, width of a head)."""
    return x.view(*x.shape[:-1], attention.num_heads, -1).transpose(1, 2)
