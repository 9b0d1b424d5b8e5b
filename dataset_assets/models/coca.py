"""Captions by CoCa models of open_clip."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Any

from PIL import Image

from dataset_assets.models import clip_weights
from dataset_assets.models.beam_search import Found, Search, beam_search
from dataset_assets.models.clip_loading import choose_device, choose_precision, load
from dataset_assets.models.clip_preprocessing import Preprocessing, longest_ratio, middle
from dataset_assets.models.clip_weights import ClipSettings, ModelFiles
from dataset_assets.models.coca_decoder import CocaDecoder
from dataset_assets.models.finite import require_finite_output, require_finite_weights
from dataset_assets.models.model_inputs import Preparation, WholeTransform, numbers_of
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch

CODE_VERSION = 1  # changes with what the decoding writes
# open_clip's own byte pairs. Source: open_clip 3.3, tokenizer.SimpleTokenizer
VOCABULARY, START, END, PADDING = 49_408, 49_406, 49_407, 0
# Settings of a text side that the decoding does not know.
UNUSUAL = (
    *("no_causal_mask", "use_pad_mask", "block_type", "qk_norm", "scaled_cosine_attn"),
    *("scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"),
)


@dataclass(frozen=True)
class CocaSettings:
    """A CoCa model and how it writes; one beam is greedy. Lengths count tokens, the start token included."""

    model: ClipSettings
    beams: int = 3
    min_length: int = 5
    max_length: int = 30


def recipe(settings: CocaSettings) -> dict[str, str | int | float]:
    """What decides a caption, besides the image: equal parts, equal captions. Raises: ModelError."""
    _require_writer(clip_weights.find(settings.model), settings)
    decoding = {name: getattr(settings, name) for name in ("beams", "min_length", "max_length")}
    return {**clip_weights.recipe(settings.model), **decoding, "kind": "coca", "decoding": CODE_VERSION}


class CocaCaptioner:
    """A CoCa model, ready to write.

    Raises on construction: ModelError when the model cannot be had exactly as the settings name it: weights that are
    missing or damaged are never replaced by random ones. Only tags and repositories of Hugging Face use the network.
    """

    def __init__(self, settings: CocaSettings) -> None:
        clip_weights.download(settings.model)
        files = clip_weights.find(settings.model)
        _require_writer(files, settings)
        self.device = choose_device(settings.model.device, settings.model.block)
        precision = choose_precision(settings.model.precision, self.device)
        # open_clip casts the pooling of CoCa's image side only with everything else.
        model, transform = load(files, self.device, "pure_bf16" if precision == "bf16" else precision)
        self._model = model.eval().requires_grad_(False)
        self.preparation = _preparation(self._model.visual.preprocess_cfg, transform)
        self.reads_apart = not isinstance(self.preparation, WholeTransform)
        self._precision = precision
        self._search = Search(settings.beams, settings.min_length, settings.max_length, START, END, (PADDING, START))
        self._block = settings.model.block
        self.name = files.shown_name
        self.weights = "random" if files.is_random else "trained"
        self.batch_size = settings.model.batch_size
        require_finite_weights(self._model, self.name, self._block)
        self._require_numbers()

    def prepare(self, image: Image.Image) -> "torch.Tensor":
        """The model's input, (3, height, width) float32. Transparency is dropped, not blended."""
        return numbers_of(self.preparation, [self.preparation(image)])[0]

    def write(self, inputs: "Sequence[torch.Tensor]", image_ids: Sequence[str]) -> list[tuple[str, float]]:
        """A caption and its score for each input; the ids decide nothing here, since nothing is drawn by lot."""
        import torch

        try:
            found = self._search_all(torch.stack(list(inputs)))
        except torch.OutOfMemoryError:
            raise ModelError(
                f"{self._block}.batch_size: {self.device} has no memory for {self.batch_size} images with "
                f"{self._search.beams} beams; set fewer"
            ) from None
        return [(_text(one.tokens) if isfinite(one.score) else "", one.score) for one in found]

    def _search_all(self, inputs: "torch.Tensor") -> list[Found]:
        """Captions of at most a batch of inputs, in a batch of full size: a row's last bits depend on its shape."""
        import torch

        padded = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, 0, 0, self.batch_size - len(inputs)))
        with torch.inference_mode():
            decoder = CocaDecoder(self._model, self._image_tokens(padded), self._search.beams)
            return beam_search(decoder, self.batch_size, self._search, self.device)[: len(inputs)]

    def _image_tokens(self, inputs: "torch.Tensor") -> "torch.Tensor":
        import torch

        dtype = torch.bfloat16 if self._precision == "bf16" else torch.float32
        tokens: torch.Tensor = self._model.visual(inputs.to(self.device, dtype))[1]
        return tokens

    def _require_numbers(self) -> None:
        import torch

        blank = self.prepare(Image.new("RGB", (64, 64), "white")).unsqueeze(0)
        with torch.inference_mode():
            decoder = CocaDecoder(self._model, self._image_tokens(blank), 1)
            logits = decoder(torch.tensor([START], device=self.device), None)
        if logits.shape != (1, VOCABULARY):
            raise ModelError(
                f"{self.name}: gives {logits.shape[1]:,} logits, expected one for each of {VOCABULARY:,} tokens"
            )
        require_finite_output(bool(logits.isfinite().all()), self.name, self._block)


def _preparation(config: Mapping[str, Any], transform: "Callable[[Image.Image], torch.Tensor]") -> Preparation:
    """What makes the numbers of the model's own transform; that itself where nothing simpler does."""
    own = Preprocessing.of(config)
    if own is not None and own.agrees_with(transform):
        return own
    longest = longest_ratio(config)
    return WholeTransform(lambda image: transform(middle(image, longest)))


def _require_writer(files: ModelFiles, settings: CocaSettings) -> None:
    """Refuse a model that writes no text, or not in open_clip's own tokens, or not at this length."""
    block, text, decoder = settings.model.block, files.config.get("text_cfg"), files.config.get("multimodal_cfg")
    if not isinstance(text, dict) or not isinstance(decoder, dict):
        raise ModelError(
            f"{block}.model: {files.name} has no multimodal_cfg, so it writes no captions; name a CoCa model"
        )
    if text.get("hf_model_name") or text.get("hf_tokenizer_name") or text.get("vocab_size", VOCABULARY) != VOCABULARY:
        raise ModelError(f"{block}.model: {files.name} writes in other tokens than open_clip's own {VOCABULARY:,}")
    _require_plain_layers(files, text, block)
    longest = min(part.get("context_length", 77) for part in (text, decoder))
    if settings.max_length > longest:
        raise ModelError(f"{block}.max_length: {settings.max_length}, but {files.name} writes at most {longest} tokens")


def _require_plain_layers(files: ModelFiles, text: dict[str, Any], block: str) -> None:
    """Refuse sides without what the decoding needs, and a text side of other layers than CoCa's."""
    vision = files.config.get("vision_cfg")
    unusual = [name for name in UNUSUAL if text.get(name)]
    lacking = [f"text_cfg.{name}" for name in ("embed_cls", "output_tokens") if not text.get(name)]
    if not isinstance(vision, dict) or not vision.get("output_tokens"):
        lacking.append("vision_cfg.output_tokens")
    if unusual or lacking:
        found = ", ".join([f"{name} is set" for name in unusual] + [f"{name} is not" for name in lacking])
        raise ModelError(f"{block}.model: {files.name} is built unlike CoCa ({found}); name a CoCa model")


def _text(tokens: Sequence[int]) -> str:
    text: str = _tokenizer().decode([token for token in tokens if token not in (START, END, PADDING)])
    return text


@lru_cache(maxsize=1)
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()
