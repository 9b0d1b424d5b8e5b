"""The search for a caption, over a small language whose every sentence can be tried."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataset_assets.models.beam_search import Found, Search, beam_search

START, END, PADDING, WORDS = 0, 1, 2, (3, 4, 5)
VOCABULARY, MAX_LENGTH = 6, 5
EVERY_SENTENCE = len(WORDS) ** (MAX_LENGTH - 1)


class Language:
    """Each image has its own table of what follows a word; a `Step` that must be told where a row came from."""

    def __init__(self, seeds: list[int], beams: int) -> None:
        tables = [
            torch.from_numpy(np.random.default_rng(seed).normal(0, 2, (MAX_LENGTH, 6, 6))).float() for seed in seeds
        ]
        self.tables = torch.stack(tables).repeat_interleave(beams, 0)
        self.sums = torch.zeros(len(seeds) * beams, dtype=torch.long)  # what was said so far, which a parent hands on
        self.length = 0

    def __call__(self, tokens: torch.Tensor, parents: torch.Tensor | None) -> torch.Tensor:
        self.sums = (self.sums if parents is None else self.sums[parents]) + tokens
        rows = self.tables[torch.arange(len(tokens)), self.length]
        self.length += 1
        return rows[torch.arange(len(tokens)), tokens] + rows[torch.arange(len(tokens)), self.sums % 6]


def search(beams: int, min_length: int = 1) -> Search:
    return Search(beams, min_length, MAX_LENGTH, START, END, (PADDING, START))


def found(seeds: list[int], beams: int, min_length: int = 1) -> list[Found]:
    return beam_search(Language(seeds, beams), len(seeds), search(beams, min_length), "cpu")


def best_of_all(seed: int, min_length: int) -> Found:
    """The best sentence that ends, by trying each."""
    tried = []
    for length in range(min_length - 1, MAX_LENGTH - 1):
        for words in itertools.product(WORDS, repeat=length):
            language, summed = Language([seed], 1), 0.0
            for said, following in itertools.pairwise([START, *words, END]):
                summed += language(torch.tensor([said]), None).log_softmax(-1)[0, following].item()
            tried.append(Found(words, summed / (length + 1)))
    return max(tried, key=lambda one: one.score)


@pytest.mark.parametrize("min_length", [1, 3])
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_with_beams_enough_the_best_sentence_of_all_is_found(min_length: int, seed: int) -> None:
    [one], expected = found([seed], EVERY_SENTENCE, min_length), best_of_all(seed, min_length)

    assert one.tokens == expected.tokens
    assert one.score == pytest.approx(expected.score, abs=1e-5)


@settings(max_examples=20, deadline=None)
@given(seeds=st.lists(st.integers(0, 10_000), min_size=1, max_size=4), beams=st.integers(1, 3))
def test_what_is_found_for_an_image_does_not_depend_on_the_others(seeds: list[int], beams: int) -> None:
    assert found(seeds, beams) == [found([seed], beams)[0] for seed in seeds]


def test_no_caption_holds_padding_or_a_second_start() -> None:
    assert all(set(one.tokens) <= set(WORDS) for one in found(list(range(50)), 2))


def test_a_caption_that_finds_no_end_is_cut_at_the_greatest_length() -> None:
    class Endless:
        def __call__(self, tokens: torch.Tensor, parents: torch.Tensor | None) -> torch.Tensor:
            logits = torch.zeros(len(tokens), VOCABULARY)
            logits[:, WORDS[0]], logits[:, END] = 20.0, -200.0
            return logits

    [one] = beam_search(Endless(), 1, search(1), "cpu")
    assert one.tokens == (WORDS[0],) * (MAX_LENGTH - 1)
    assert one.score == pytest.approx(0, abs=1e-6)


def test_numbers_that_are_none_give_no_score() -> None:
    class Broken:
        def __call__(self, tokens: torch.Tensor, parents: torch.Tensor | None) -> torch.Tensor:
            return torch.full((len(tokens), VOCABULARY), math.nan)

    assert all(math.isnan(one.score) for one in beam_search(Broken(), 2, search(2), "cpu"))
