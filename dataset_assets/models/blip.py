"""Captions by BLIP models of transformers, as kohya's `make_captions.py` writes them."""

import hashlib
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import nan
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from dataset_assets.models.blip_files import BLOCK, BlipFiles, BlipSettings, download, find
from dataset_assets.models.clip_loading import choose_device, choose_precision
from dataset_assets.models.finite import require_finite_output, require_finite_weights
from dataset_assets.models.model_inputs import Preparation, numbers_of
from dataset_assets.models.weight_files import ModelError

if TYPE_CHECKING:
    import torch

# Of BLIP's own training, and in kohya's script.
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Stretched:
    """BLIP's preparation: an image stretched to a square of `side`, whatever its shape. Picklable."""

    side: int

    def __call__(self, image: Image.Image) -> np.ndarray:
        """An image's bytes: (side, side, 3) uint8."""
        return np.asarray(image.convert("RGB").resize((self.side, self.side), Image.Resampling.BICUBIC))

    def numbers(self, pixels: "torch.Tensor") -> "torch.Tensor":
        import torch

        shown = (pixels.numpy().astype(np.float32) / 255 - np.array(MEAN, np.float32)) / np.array(STD, np.float32)
        return torch.from_numpy(shown).permute(0, 3, 1, 2)


class BlipCaptioner:
    """A BLIP model, ready to write.

    Raises on construction: ModelError when the model cannot be had exactly as the settings name it: weights that are
    missing or damaged are never replaced by random ones. Only repositories of Hugging Face use the network.
    """

    def __init__(self, settings: BlipSettings) -> None:
        download(settings)
        files = find(settings)
        self._settings = settings
        self.device = choose_device(settings.device, BLOCK)
        self._precision = choose_precision(settings.precision, self.device)
        self._model, self._tokenizer = _load(files, self.device, self._precision)
        self.preparation: Preparation = Stretched(files.image_side)
        self.reads_apart = True
        self.name = files.shown_name
        self._prompt = self._prompt_tokens()
        self.weights = "random" if files.is_random else "trained"
        self.batch_size = settings.batch_size
        require_finite_weights(self._model, self.name, BLOCK)
        self._require_numbers()

    def prepare(self, image: Image.Image) -> "torch.Tensor":
        """The model's input, (3, side, side) float32: stretched, not cropped. Transparency is dropped, not blended."""
        return numbers_of(self.preparation, [self.preparation(image)])[0]

    def write(self, inputs: "Sequence[torch.Tensor]", image_ids: Sequence[str]) -> list[tuple[str, float]]:
        """A caption and its score for each input; where words are drawn by lot, an image's id decides the draw."""
        import torch

        try:
            with torch.inference_mode():
                return self._write(torch.stack(list(inputs)), image_ids)
        except torch.OutOfMemoryError:
            raise ModelError(
                f"{BLOCK}.batch_size: {self.device} has no memory for {self.batch_size} images with "
                f"{self._settings.beams} beams; set fewer"
            ) from None

    def _write(self, inputs: "torch.Tensor", image_ids: Sequence[str]) -> list[tuple[str, float]]:
        """Captions of at most a batch of inputs, in a batch of full size: a row's last bits depend on its shape."""
        import torch

        padded = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, 0, 0, self.batch_size - len(inputs)))
        seen = self._see(padded)
        usable = seen.isfinite().flatten(1).all(1)
        seen = seen.masked_fill(~usable.view(-1, 1, 1), 0)  # NaN would stop the draw of the others
        if self._settings.sampling is None:
            tokens = self._generate(seen)
        else:
            drawn = [self._draw(seen[place : place + 1], name) for place, name in enumerate(image_ids)]
            blank = torch.full((self.batch_size - len(drawn), drawn[0].shape[1]), self._padding, device=self.device)
            tokens = torch.cat([*drawn, blank])
        scores = self._scores(seen, tokens)
        return [
            (self._text(row), score if is_usable else nan)
            for row, score, is_usable in zip(
                tokens[: len(inputs)].tolist(), scores[: len(inputs)], usable.tolist(), strict=False
            )
        ]

    def _see(self, inputs: "torch.Tensor") -> "torch.Tensor":
        """What the image side makes of inputs: (images, tokens, width)."""
        seen: torch.Tensor = self._model.vision_model(inputs.to(self.device, self._model.dtype)).last_hidden_state
        return seen

    def _generate(self, seen: "torch.Tensor", **choice: Any) -> "torch.Tensor":
        """Captions with their prompt, (images, max_length), filled up with padding."""
        import torch

        settings, config = self._settings, self._model.config.text_config
        prompt = self._prompt.expand(len(seen), -1)
        tokens = self._model.text_decoder.generate(
            input_ids=prompt,
            attention_mask=torch.ones_like(prompt),
            encoder_hidden_states=seen,
            encoder_attention_mask=torch.ones(seen.shape[:2], dtype=torch.long, device=self.device),
            eos_token_id=config.sep_token_id,
            pad_token_id=config.pad_token_id,
            min_length=settings.min_length,
            max_length=settings.max_length,
            repetition_penalty=settings.repetition_penalty,
            length_penalty=1.0,
            **{"do_sample": False, "num_beams": settings.beams, **choice},
        )
        filled: torch.Tensor = torch.nn.functional.pad(
            tokens, (0, settings.max_length - tokens.shape[1]), value=self._padding
        )
        return filled

    def _draw(self, seen: "torch.Tensor", image_id: str) -> "torch.Tensor":
        """One image's caption by lot: alone, so that neither its order nor its batch plays a part."""
        import torch

        lots = self._settings.sampling
        assert lots is not None
        seed = int.from_bytes(hashlib.sha256(f"{lots.seed} {image_id}".encode()).digest()[:7], "big")
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return self._generate(
                seen, do_sample=True, num_beams=1, top_p=lots.top_p, top_k=lots.top_k, temperature=1.0
            )

    def _scores(self, seen: "torch.Tensor", tokens: "torch.Tensor") -> list[float]:
        """Mean log-probability of each caption's tokens, the end included, by the model as it is: whatever was done to
        choose among them plays no part."""
        import torch

        logits = self._model.text_decoder(
            input_ids=tokens[:, :-1],
            attention_mask=torch.ones_like(tokens[:, :-1]),  # what comes after a token is not seen by it
            encoder_hidden_states=seen,
            use_cache=False,
        ).logits
        begin = self._prompt.shape[1]
        said = tokens[:, begin:]
        log_probability = logits[:, begin - 1 :].float().log_softmax(-1).gather(2, said.unsqueeze(2)).squeeze(2)
        is_end = said == self._end
        is_said = is_end.cumsum(1) - is_end.long() == 0  # up to the first end, itself included
        mean = log_probability.masked_fill(~is_said, 0).sum(1) / is_said.sum(1)
        scores: list[float] = mean.tolist()
        return scores

    def _text(self, tokens: Sequence[int]) -> str:
        said = list(tokens[self._prompt.shape[1] :])
        said = said[: said.index(self._end)] if self._end in said else said
        text: str = self._tokenizer.decode(said, skip_special_tokens=True)
        return text

    def _prompt_tokens(self) -> "torch.Tensor":
        """The prompt as the decoder begins with it, (1, tokens): the first says that a caption is to be written."""
        import torch

        config, longest = self._model.config.text_config, self._settings.max_length
        *tokens, end = self._tokenizer(self._settings.prompt.strip())["input_ids"]
        begins = self._tokenizer.bos_token_id  # not all tokenizers know it; each knows all the words below it
        is_whole = config.bos_token_id <= len(self._tokenizer) and begins in (None, config.bos_token_id)
        if end != config.sep_token_id or max(tokens) >= config.vocab_size or not is_whole:
            raise ModelError(f"{BLOCK}.model: {self.name} has the tokenizer of another model; copy or fetch both")
        if len(tokens) >= longest:
            raise ModelError(f"{BLOCK}.max_length: {longest}, but the prompt alone has {len(tokens)} tokens")
        tokens[0] = config.bos_token_id
        return torch.tensor([tokens], device=self.device)

    @property
    def _end(self) -> int:
        return int(self._model.config.text_config.sep_token_id)

    @property
    def _padding(self) -> int:
        return int(self._model.config.text_config.pad_token_id)

    def _require_numbers(self) -> None:
        import torch

        with torch.inference_mode():
            seen = self._see(self.prepare(Image.new("RGB", (64, 64), "white")).unsqueeze(0))
            logits = self._model.text_decoder(
                input_ids=self._prompt, encoder_hidden_states=seen, use_cache=False
            ).logits
        require_finite_output(bool(logits.isfinite().all()), self.name, BLOCK)


def _load(files: BlipFiles, device: str, precision: str) -> tuple[Any, Any]:
    """The model and its tokenizer.

    Raises: ModelError for whatever transformers meets, and for tensors that it would make up.
    """
    import torch
    import transformers

    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    try:
        with _quiet_transformers():
            model, told = transformers.BlipForConditionalGeneration.from_pretrained(
                files.folder,
                local_files_only=True,
                output_loading_info=True,
                dtype=dtype,
                use_safetensors=files.weights_file.suffix == ".safetensors",
            )
            tokenizer = transformers.AutoTokenizer.from_pretrained(files.folder, local_files_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to run the file's code
        raise ModelError(
            f"{files.weights_file}: is damaged, or holds more than weights, and such objects can run code when "
            "they are read; expected a file of weights alone, best as .safetensors"
        ) from None
    except Exception as error:  # noqa: BLE001 - damaged or hostile files make the loaders raise anything
        found = f"{type(error).__name__}: {str(error)[:500]}"
        raise ModelError(
            f"{files.folder}: cannot be loaded as a BLIP captioner; copy or fetch it again; {found}"
        ) from None
    made_up = sorted({*map(str, told["missing_keys"]), *map(str, told["mismatched_keys"])})
    if made_up:
        raise ModelError(
            f"{files.weights_file}: lacks {len(made_up)} tensors of a BLIP captioner, such as {made_up[0]}, and these "
            "would be random; copy or fetch it again"
        )
    return model.eval().requires_grad_(False).to(device), tokenizer


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers from drawing bars, and from telling of what is raised as an error here."""
    from transformers.utils import logging

    level = logging.get_verbosity()
    had_bars = logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if had_bars:
            logging.enable_progress_bar()
