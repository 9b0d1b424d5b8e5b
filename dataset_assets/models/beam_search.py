"""Beam search over a batch of images, by a model that tells the next token's logits; one beam is greedy decoding."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import torch


class Step(Protocol):
    """A model in the middle of writing: it keeps what it has read so far of each row."""

    def __call__(self, tokens: "torch.Tensor", parents: "torch.Tensor | None") -> "torch.Tensor":
        """Append a token to each row and return the logits of the next: (rows,) int64 to (rows, vocabulary).

        `parents` tells which of the former rows each row goes on from; null = from its own.
        """


@dataclass(frozen=True)
class Search:
    """How a caption is sought. Lengths count tokens, the start token included and the end token not."""

    beams: int
    min_length: int
    max_length: int
    start: int
    end: int
    never: tuple[int, ...] = ()  # tokens that no caption holds, such as padding


@dataclass(frozen=True)
class Found:
    """A caption's tokens, without start and end; and the mean log-probability that the model gave each of its tokens.

    The end token counts as one where the caption came to its end. NaN = the model gave no numbers.
    """

    tokens: tuple[int, ...]
    score: float


def beam_search(step: Step, images: int, search: Search, device: str) -> list[Found]:
    """The best caption of each image: of the highest mean log-probability among the beams.

    Each image has rows of its own, so what is found for it does not depend on the others. It is left alone once none of
    its beams can become better than the best that has ended.
    """
    beams = _Beams(images, search, device)
    parents = None
    for length in range(1, search.max_length):
        parents = beams.advance(step(beams.last_tokens, parents), length)
        if beams.all_done:
            break
    return beams.found()


class _Beams:
    """The open captions of each image, and the best of those that have ended."""

    def __init__(self, images: int, search: Search, device: str) -> None:
        import torch

        self.images, self.search, self.width = images, search, search.beams
        self.tokens = torch.full((images * self.width, 1), search.start, dtype=torch.long, device=device)
        self.log_probability = torch.full((images, self.width), float("-inf"), device=device)
        self.log_probability[:, 0] = 0.0  # all beams are equal at first: one of them goes on
        self.first_rows = torch.arange(images, device=device).unsqueeze(1) * self.width
        self.done = torch.zeros(images, dtype=torch.bool, device=device)
        self.ended = torch.zeros((images, search.max_length - 1), dtype=torch.long, device=device)
        self.ended_length = torch.full((images,), -1, device=device)  # -1 = none has ended
        self.best = torch.full((images,), float("-inf"), device=device)

    @property
    def last_tokens(self) -> "torch.Tensor":
        return self.tokens[:, -1]

    @property
    def all_done(self) -> bool:
        return bool(self.done.all())

    def advance(self, logits: "torch.Tensor", length: int) -> "torch.Tensor | None":
        """Go on by one token; returns the parents of the new rows."""
        import torch

        values, beams, tokens = self._candidates(logits, length)
        ends = tokens == self.search.end
        self._close(values, beams, ends, length)
        self.log_probability, chosen = values.masked_fill(ends, float("-inf")).topk(self.width, dim=1)
        parents = (self.first_rows + beams.gather(1, chosen)).view(-1)
        self.tokens = torch.cat([self.tokens[parents], tokens.gather(1, chosen).view(-1, 1)], dim=1)
        # Log-probabilities only fall, and a mean is the least low over the most tokens.
        within_reach = self.log_probability[:, 0] / (self.search.max_length - 1)
        self.done |= self.best >= within_reach
        return None if self.width == 1 else parents

    def _candidates(self, logits: "torch.Tensor", length: int) -> "tuple[torch.Tensor, torch.Tensor, torch.Tensor]":
        """The best continuations of each image: summed log-probabilities, beams and tokens, (images, 2 * beams) each.

        Twice the beams, so that enough go on should every second one end.
        """
        log_probability = logits.float().log_softmax(-1)
        log_probability[:, list(self.search.never)] = float("-inf")
        if length < self.search.min_length:
            log_probability[:, self.search.end] = float("-inf")
        vocabulary = log_probability.shape[1]
        summed = (self.log_probability.view(-1, 1) + log_probability).view(self.images, -1)
        values, places = summed.topk(2 * self.width, dim=1)
        return values, places // vocabulary, places % vocabulary

    def _close(self, values: "torch.Tensor", beams: "torch.Tensor", ends: "torch.Tensor", length: int) -> None:
        """Keep captions that end here, are among the best beams, and better than what had ended before."""
        import torch

        for place in range(self.width):
            score = values[:, place] / length
            better = ends[:, place] & ~self.done & (score > self.best)
            written = self.tokens[self.first_rows[:, 0] + beams[:, place], 1:]
            before = self.ended[:, : length - 1]
            self.ended[:, : length - 1] = torch.where(better.unsqueeze(1), written, before)
            self.ended_length = torch.where(better, length - 1, self.ended_length)
            self.best = torch.where(better, score, self.best)

    def found(self) -> list[Found]:
        """The best caption of each image; one that has not ended where none has."""
        written = self.tokens.shape[1] - 1
        opened = zip(self.tokens[:: self.width, 1:].tolist(), self.log_probability[:, 0].tolist(), strict=True)
        ended = zip(self.ended.tolist(), self.ended_length.tolist(), self.best.tolist(), strict=True)
        return [
            Found(tuple(tokens), summed / max(written, 1)) if length < 0 else Found(tuple(best_tokens[:length]), best)
            for (tokens, summed), (best_tokens, length, best) in zip(opened, ended, strict=True)
        ]
